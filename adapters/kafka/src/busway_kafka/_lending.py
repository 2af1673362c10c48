"""What one member hands out of the partitions it has, and what becomes of it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from operator import attrgetter

import anyio.lowlevel

from busway import Envelope, TransportError
from busway.transport import Delivery, Fresh

from ._foreign import Reader
from ._holdings import Holdings
from ._suspecting import PutOff, Suspecting
from ._tenure import Record, Tenure
from ._wire import Read, event_of

__all__ = ["Lending"]

_LOOK = 0.05
_BEHIND = 0.25
"""Seconds for which acknowledgements go on while the broker has not taken earlier ones."""

_OFTEN = 32
"""Acknowledgements within that time after which more are to be expected."""

_MANY = 16
"""So few records cost less as deliveries than as a run of them."""

_receipt = attrgetter("receipt")
_reply_to = attrgetter("reply_to")


class Lending:
    """Of one member. ``look`` tells who fetches that there is room; ``alive_until`` is the moment
    up to which the broker has agreed that this member has what it has."""

    lost = 0
    mistake: BaseException | None = None
    """Of ours: whoever receives hears of it."""
    _turn = 0

    def __init__(
        self,
        holdings: Holdings,
        put_off: PutOff,
        read: Reader,
        look: Callable[[], None],
        alive_until: Callable[[], float],
    ) -> None:
        self._holdings = holdings
        self._committer = holdings.committer
        self._put_off = put_off
        self._read = read
        self._suspecting = Suspecting(self._committer, put_off, read)
        self._look = look
        self._alive_until = alive_until
        self._arrived = asyncio.Event()
        self._wrong: dict[Hashable, tuple[float, TransportError]] = {}
        """Since when, for each thing that is: one that is well says nothing of another."""
        self._finished: deque[float] = deque(maxlen=_OFTEN)
        self.look_again = self._arrived.set
        """Something is different: whoever waits in ``receive`` looks."""

    def broken(self, error: TransportError | None, what: Hashable) -> None:
        """This of the broker could not be asked, such as one of its nodes; None: it could."""
        if error is None:
            self._wrong.pop(what, None)
            return
        since, _ = self._wrong.get(what, (time.monotonic(), error))
        self._wrong[what] = since, error
        self._arrived.set()

    # --- handing out

    async def receive(self, limit: int, patience: float) -> Sequence[Delivery]:
        """As a feed does. What has been wrong for ``patience`` seconds of the wait is raised."""
        began = time.monotonic()
        while True:
            self._arrived.clear()
            now = time.time()
            tenures = self._asked()
            if self._suspecting.has_turn(now) and (
                suspect := await self._suspecting.next(tenures, now)
            ):
                return [suspect]
            if found := self._found(tenures, limit, now):
                self._turn += 1
                self._go_on(tenures)
                return found
            if suspect := await self._suspecting.next(tenures, now):
                return [suspect]
            if self.mistake is not None:
                raise self.mistake
            self._look()
            if short := [t for t in tenures if t.asked > t.reserved and not t.leaving]:
                await self._committer.commit(short)
                continue
            await self._wait(tenures, now, self._patient_until(began, patience))

    def _patient_until(self, began: float, patience: float) -> float | None:
        """When who waits since then is to be told what is wrong; None: nothing is. Raises it, if
        that is now."""
        if not self._wrong:
            return None
        since, problem = min(self._wrong.values(), key=lambda each: (each[1].retryable, each[0]))
        # What is over in a moment is no news.
        until = max(began, since) + patience
        if not problem.retryable or time.monotonic() >= until:
            self._wrong.clear()
            raise problem
        return until

    def _found(self, tenures: Sequence[Tenure], limit: int, now: float) -> Sequence[Delivery]:
        """What can be handed out: of one that has many simply new ones, these alone."""
        found: list[Delivery] = []
        many = max(_MANY, len(tenures))  # looking at each of them costs something, too
        for tenure in tenures:
            if tenure.held:
                tenure.due(now)
        for tenure in tenures:
            if not found and limit >= _MANY and len(tenure.fetched) >= many:
                run = self._run_of(tenure, limit, now, found)
                if run is not None:
                    return run
            if len(found) < limit:
                self._take_from(tenure, limit - len(found), now, found)
        return found

    def _asked(self) -> list[Tenure]:
        """Those that something may be taken from, another first each time that something was."""
        tenures = [t for t in self._holdings.tenures.values() if self._is_ours(t)]
        turn = self._turn % len(tenures) if tenures else 0
        return tenures[turn:] + tenures[:turn]

    def _is_ours(self, tenure: Tenure) -> bool:
        if tenure.leaving:
            return False
        if tenure.loan.revoked:
            until = tenure.loan.until
            # It ran out by itself; what was lent under it came back, or is finished.
            alive = self._alive_until()
            if tenure.loan.running or tenure.lent or alive <= time.monotonic() or until is None:
                return False
            tenure.renew()
            tenure.loan.until = alive
        return True

    def _run_of(self, tenure: Tenure, most: int, now: float, found: list[Delivery]) -> Fresh | None:
        """Nothing is made for one of them, if there is nothing to say of any but its event."""
        if tenure.suspect_below and tenure.suspects:
            return None
        new = tenure.take_new(most)
        events = [event_of(record.key, record.value, record.headers) for record in new]
        if len(new) < _MANY or not all(events) or any(map(_reply_to, events)):
            self._lend_all(tenure, new, events, now, found)
            return None
        offsets = [record.offset for record in new]
        channel = tenure.address.channel
        run = Fresh(
            events,  # type: ignore[arg-type]  # none is None
            lambda event: channel,
            loan=tenure.loan,
            receipt_of=lambda place: (tenure, offsets[place]),
        )
        run.receipt = tenure, offsets
        return run

    def _take_from(self, tenure: Tenure, most: int, now: float, found: list[Delivery]) -> None:
        end = len(found) + most
        while (most := end - len(found)) > 0:
            if tenure.suspect_below and tenure.suspects:
                return
            if new := tenure.take_new(most):
                events = [event_of(record.key, record.value, record.headers) for record in new]
                self._lend_all(tenure, new, events, now, found)
                continue
            if (taken := tenure.take()) is None:
                return
            offset, what = taken
            said = what if isinstance(what, Read) else self._read(tenure, what)
            self._lend(tenure, offset, said, now, found)

    def _lend_all(
        self,
        tenure: Tenure,
        new: Sequence[Record],
        events: Sequence[Envelope | None],
        now: float,
        found: list[Delivery],
    ) -> None:
        """The same as ``_lend`` for many, most of which have nothing but their event."""
        channel, loan, append = tenure.address.channel, tenure.loan, found.append
        for record, event in zip(new, events, strict=True):
            if event is None:
                self._lend(tenure, record.offset, self._read(tenure, record), now, found)
                continue
            receipt = tenure, record.offset
            append(Delivery(event, channel, event.subject, 1, 1, None, None, loan, receipt))

    def _lend(
        self, tenure: Tenure, offset: int, what: Read, now: float, found: list[Delivery]
    ) -> None:
        content, attempt, due, story = what
        if due is not None and due > now:
            self._put_off(tenure, offset, what, now)
            return
        lane = content.subject if type(content) is Envelope else None
        channel, loan, receipt = tenure.address.channel, tenure.loan, (tenure, offset)
        found.append(Delivery(content, channel, lane, attempt, 1, due, story, loan, receipt))

    def _go_on(self, tenures: Sequence[Tenure]) -> None:
        self._look()
        if short := [t for t in tenures if t.runs_short or t.waits_for_reserve]:
            self._committer.begin(short)

    async def _wait(self, tenures: Sequence[Tenure], now: float, until: float | None) -> None:
        """Until something may have come, or is due, or at the longest until then."""
        due = [tenure.next_due for tenure in tenures if tenure.next_due is not None]
        pauses = [min(due) - now] if due else []
        if until is not None:
            pauses.append(until - time.monotonic())
        pause = max(0.0, min(pauses)) if pauses else None
        revoked = any(t.loan.revoked for t in self._holdings.tenures.values())
        if revoked or self._suspecting.one_is_lent:
            pause = _LOOK if pause is None else min(pause, _LOOK)
        try:
            async with asyncio.timeout(pause):
                await self._arrived.wait()
        except TimeoutError:
            pass

    # --- coming back

    async def ack(self, deliveries: Sequence[Delivery]) -> int:
        """As a feed does."""
        finished = _by_tenure(deliveries)
        lost, touched = 0, list[Tenure]()
        for tenure, offsets in finished.items():
            late = tenure.finish(offsets)
            if self._suspecting.one_is_lent:
                self._see_whether_it_is_over(tenure, offsets)
            if tenure.ended:
                lost += sum(tenure.lose(offset) for offset in late)
            elif tenure.dirty:
                touched.append(tenure)
        if touched and self._goes_on() and self._committer.behind < _BEHIND:
            # There is more to do: the broker is told meanwhile.
            self._committer.begin(touched)
        elif touched:
            await self._committer.commit(touched)
            lost += sum(len(finished[each]) for each in touched if each.ended and each.dirty)
        self.lost += lost
        return lost

    def _see_whether_it_is_over(self, tenure: Tenure, offsets: Sequence[int]) -> None:
        if any(self._suspecting.is_over(tenure, offset) for offset in offsets):
            self._arrived.set()

    def _goes_on(self) -> bool:
        """Whether there is more to do, or will be in a moment: so many times something was finished
        just before this."""
        now = time.monotonic()
        self._finished.append(now)
        if len(self._finished) == _OFTEN and now - self._finished[0] < _BEHIND:
            return True
        return any(t.fetched and not t.leaving for t in self._holdings.tenures.values())

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """As a feed does."""
        for delivery in deliveries:
            tenure, offset = delivery.receipt
            what = Read(delivery.content, delivery.attempt, delivery.due, delivery.story)
            if tenure.give_back(offset, what):
                if offset in tenure.begun:
                    self._suspecting.not_begun(tenure, offset)
                    self._committer.begin([tenure])
            elif tenure.ended:
                tenure.lose(offset)
        self._arrived.set()
        await anyio.lowlevel.checkpoint()


def _by_tenure(deliveries: Sequence[Delivery]) -> dict[Tenure, list[int]]:
    """The offsets of these."""
    if type(deliveries) is Fresh:
        tenure, offsets = deliveries.receipt
        return {tenure: offsets}
    found: dict[Tenure, list[int]] = {}
    for tenure, offset in map(_receipt, deliveries):
        offsets = found.get(tenure)
        if offsets is None:
            found[tenure] = [offset]
        else:
            offsets.append(offset)
    return found
