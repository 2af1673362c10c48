"""One member's time with one partition: what was fetched, what is lent, what may be committed."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from busway.transport import Address, Loan

from ._notes import Note, ranges
from ._wire import Read

__all__ = ["AHEAD", "Record", "Tenure"]

AHEAD = 1_000
"""Records of one partition that are fetched before anybody asked for them."""
_LEAST = 16
_MOST = 8_192
"""Records that are reserved at once: so few where they go out slowly, so many where quickly."""
_QUICKLY = 0.1
_SLOWLY = 1.0
"""Seconds in which they go out. Between the two, as many are reserved again, and in good time: what
comes steadily waits for no answer to that."""


class Record(Protocol):
    """One record as it was fetched: aiokafka's own object."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


class _Held(NamedTuple):
    due: float
    offset: int
    read: Read


class Tenure:
    """A partition of a topic that this member of the group has.

    The rule of what is committed: records are taken in the order of their offsets, and ``position``
    is the first that was taken and is not done; when all are, what comes next. So nothing is ever
    committed above what is not finished, whatever gaps compaction or transactions left.

    A tenure is revoked first (nothing of it starts any more, what runs may finish) and ended later
    (nothing of it counts any more).
    """

    _step = _LEAST
    _asked_at = 0.0
    _steady = False
    """What was reserved before was used up soon: more is reserved before it is needed."""

    def __init__(
        self, topic: str, number: int, address: Address, fence: int, position: int, note: Note
    ) -> None:
        self.topic = topic
        self.number = number
        self.address = address
        self.fence = fence
        self.loan = Loan(fence)
        self.next = position
        """The offset that is fetched next."""
        self.end = 0
        """The broker's end of the partition, as it last said."""
        self.fetched: deque[Record] = deque()
        self.committed = position
        self.dirty = False
        """Something may be committed that is not."""
        self.given_up = False
        self.leaving = False
        """It goes to somebody else."""
        self.ended = False
        self.reserved = position
        """Nothing at or above it is handed out before the broker has heard of it."""
        self.asked = position
        """What is to be reserved."""
        self.begun: dict[int, int] = {position + n: c for n, c in note.begun.items()}
        self.suspect_below = position + note.handed if note.handed else 0
        """What lies below it a member that died may have had."""
        self._done_before = {position + n for a, b in note.done for n in range(a, b + 1)}
        """By earlier owners, and not below ``position``: the next one shall hear of it, too."""
        self._order: deque[int] = deque()
        """Taken and not below ``position``, ascending; what is done stays behind what is not."""
        self.open: set[int] = set()
        """Taken and not done: lent, given back, or held."""
        self.out: set[int] = set()
        """Lent: taken, and neither done nor given back nor held."""
        self._back: list[tuple[int, Read | Record]] = []
        self._held: list[_Held] = []

    # --- coming in

    def add(self, records: Sequence[Record], after: int) -> None:
        """Records that were fetched, and the offset behind the last that was looked at."""
        self.next = after
        if done := self._done_before:
            records = [each for each in records if each.offset not in done]
        self.fetched.extend(records)

    def wants(self, window: int, ahead: int = AHEAD) -> bool:
        """Whether more is to be fetched: no more than ``ahead`` wait to be handed out, and never
        more than ``window`` lie above what is not finished."""
        return (
            not self.leaving
            and len(self.fetched) < ahead
            and self.next - self.position < window
            and len(self._held) < window
        )

    # --- handing out

    def take(self) -> tuple[int, Read | Record] | None:
        """The next to hand out: what was given back, what is due, then what is new. None: there is
        nothing, or it has to be reserved first."""
        if self._back:
            back = heapq.heappop(self._back)
            self.out.add(back[0])
            return back
        if not self.fetched:
            return None
        record = self.fetched[0]
        offset = record.offset
        if offset >= self.reserved:
            self._reserve(offset)
            return None
        self.fetched.popleft()
        self._order.append(offset)
        self.open.add(offset)
        self.out.add(offset)
        return offset, record

    def take_new(self, most: int) -> list[Record]:
        """The same for many at once: what is new, and reserved already. Empty: ask ``take``."""
        fetched, reserved = self.fetched, self.reserved
        if self._back or not fetched:
            return []
        if len(fetched) <= most and fetched[-1].offset < reserved:
            new = list(fetched)
            fetched.clear()
        else:
            new = list[Record]()
            while len(new) < most and fetched and fetched[0].offset < reserved:
                new.append(fetched.popleft())
        offsets = [record.offset for record in new]
        self._order.extend(offsets)
        self.open.update(offsets)
        self.out.update(offsets)
        return new

    def _reserve(self, offset: int) -> None:
        """Ask for as much as goes out in a moment.

        After a crash all of it is handled one by one: so it is not all that was fetched, but what
        was used up quickly last time, and some more. Where events are rare, it is nothing that is
        not here yet.
        """
        if self.asked > offset:
            return  # the broker has not answered yet
        now = time.monotonic()
        lasted, self._asked_at = now - self._asked_at, now
        self._steady = lasted < _SLOWLY
        if lasted < _QUICKLY:
            self._step = min(_MOST, self._step * 2)
        elif not self._steady:
            self._step = max(_LEAST, self._step // 2)
        asked = offset + self._step
        if not self._steady:
            asked = min(asked, self.fetched[-1].offset + 1 if self.fetched else offset)
        self.asked = max(self.asked, asked)

    @property
    def waits_for_reserve(self) -> bool:
        """Whether nothing goes out before the broker has heard of more, and nothing that is out
        would tell it by the way."""
        return self.asked > self.reserved and not self.out

    @property
    def runs_short(self) -> bool:
        """Whether to reserve more before it is needed."""
        if self.leaving or self.asked > self.reserved:
            return False
        first = self.fetched[0].offset if self.fetched else self.next
        if first + self._step // 2 < self.reserved:
            return False
        if not self._steady and (not self.fetched or self.fetched[-1].offset < self.reserved):
            return False
        self._reserve(max(first, self.asked))
        return self.asked > self.reserved

    def hold(self, offset: int, read: Read) -> None:
        """Not due yet: it is handed out then, and holds nobody up."""
        self.out.discard(offset)
        heapq.heappush(self._held, _Held(read.due or 0.0, offset, read))

    def due(self, now: float) -> bool:
        """What is due goes out next. Whether there is any."""
        found = False
        while self._held and self._held[0].due <= now:
            held = heapq.heappop(self._held)
            heapq.heappush(self._back, (held.offset, held.read))
            found = True
        return found

    @property
    def next_due(self) -> float | None:
        return self._held[0].due if self._held else None

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def suspects(self) -> bool:
        """Whether the next to hand out is one."""
        if self._back:
            return self._back[0][0] < self.suspect_below
        return bool(self.fetched) and self.fetched[0].offset < self.suspect_below

    # --- coming back

    def done(self, offset: int) -> bool:
        """Finished. False: it was before, or this tenure has ended."""
        return not self.finish((offset,))

    def finish(self, offsets: Sequence[int]) -> Sequence[int]:
        """Finished, all of these. Those that were before; or all, if this tenure has ended."""
        if self.ended:
            return offsets
        late: Sequence[int] = ()
        if not self.out.issuperset(offsets):
            late = [offset for offset in offsets if offset not in self.out]
            offsets = [offset for offset in offsets if offset in self.out]
        if offsets:
            self.out.difference_update(offsets)
            self.open.difference_update(offsets)
            self.dirty = True
        if self.begun:
            for offset in offsets:
                self.begun.pop(offset, None)
        order, open_ = self._order, self.open
        while order and order[0] not in open_:
            order.popleft()
        return late

    def give_back(self, offset: int, read: Read) -> bool:
        """Unhandled: it goes out again, before what is new. False as in ``done``."""
        if self.ended or offset not in self.out:
            return False
        self.out.remove(offset)
        heapq.heappush(self._back, (offset, read))
        return True

    def give_all_back(self) -> None:
        """Whoever held it is gone in good order: nothing of it was begun."""
        self.given_up = True

    def lose(self, offset: int) -> int:
        """One that this tenure ended with; each counts once."""
        if offset not in self.out:
            return 0
        self.out.discard(offset)
        return 1

    # --- committing

    @property
    def position(self) -> int:
        """What may be committed."""
        if self._order:
            return self._order[0]
        return self.fetched[0].offset if self.fetched else self.next

    def note(self, *, handed: int) -> tuple[int, str]:
        """The offset to commit, and the text beside it."""
        position = self.position
        done = [n - position for n in self._order if n not in self.open]
        if self._done_before:
            self._done_before = {n for n in self._done_before if n >= position}
            done = sorted((*done, *(n - position for n in self._done_before)))
        begun = {n - position: c for n, c in self.begun.items() if n >= position}
        handed = max(handed, self.suspect_below if self.suspect_below > position else 0)
        distance = max(0, handed - position)
        text = Note(1, distance, tuple(ranges(done)), begun).text()
        return position, text

    @property
    def lag(self) -> int:
        """How many wait to be handed out, as far as is known."""
        return max(0, self.end - self.next) + len(self.fetched) + len(self._back)

    @property
    def lent(self) -> int:
        return 0 if self.given_up else len(self.out)

    # --- its end

    def revoke(self) -> None:
        self.leaving = True
        self.loan.revoke()

    def renew(self) -> None:
        """The broker agrees again, after a time in which nobody knew."""
        self.loan = Loan(self.fence)

    def end_it(self) -> None:
        self.revoke()
        self.ended = True
