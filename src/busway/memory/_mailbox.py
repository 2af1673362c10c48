"""What waits for one group, and what it has lent out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, Protocol

import anyio
import msgspec

from ..message import Envelope
from ..transport import Delivery, Fresh, Group, Outgoing
from ._wake import Wake

__all__ = ["DONE", "Batch", "Mailbox"]

DONE = object()
"""The receipt of a delivery that was acknowledged or given back."""


_MANY_BATCHES = 64
_FEW = 4
"""So few deliveries are made sooner than a ``Fresh`` is."""


def _some_lent(batch: Sequence[Delivery]) -> bool:
    if type(batch) is Fresh and len(batch.made) < len(batch):
        return batch.receipt is not DONE
    return any(_is_lent(delivery) for delivery in batch)


def _is_lent(delivery: Delivery) -> bool:
    return delivery.receipt is not DONE


class HasChannel(Protocol):
    """The part of a line that a mailbox needs."""

    channel: str


class Batch(msgspec.Struct, eq=False):
    """Deliveries lent together to one feed."""

    deliveries: Sequence[Delivery]
    owner: object
    first: int
    """The place of the first of them in the order in which this group's were lent."""


class Turn(msgspec.Struct, eq=False):
    """The receipt of a delivery that was given back before, or whose loan can run out."""

    place: int
    """Where it stood when it was lent for the first time."""
    until: float = inf


class Mailbox:
    """A group's deque with a wake-up for its readers and one for senders that wait for room."""

    __slots__ = (
        "_last",
        "_lines",
        "capacity",
        "durable",
        "followed",
        "lent",
        "made",
        "name",
        "overshoot",
        "pending",
        "place",
        "readers",
        "ready",
        "room",
    )

    def __init__(self, group: Group, capacity: int, lines: Mapping[str, HasChannel]) -> None:
        self.name = group.name
        self.durable = group.durable
        self.capacity = capacity
        self.followed: dict[object, Group] = {}
        """Each living member's patterns; an event that any of them matches belongs to the group."""
        self._last = group
        self._lines = lines
        self.ready: deque[Envelope | Delivery] = deque()
        """What waits: an event that is simply new as it is, everything else as a delivery."""
        self.made = 0
        """How many of them are deliveries."""
        self.lent: deque[Batch] = deque()
        self.pending = 0
        self.place = 0
        self.overshoot = 0
        """Items taken in beyond the capacity, because their sender must not wait."""
        self.readers: list[Wake] = []
        self.room: anyio.Event | None = None

    def matches(self, topic: str) -> bool:
        if not self.followed:
            return self._last.matches(topic)
        return any(group.matches(topic) for group in self.followed.values())

    def put(self, item: Outgoing) -> None:
        """Append an item and wake one reader."""
        content = item.content
        if type(content) is Envelope and self._is_new(item, content):
            self.ready.append(content)
            if self.readers:
                self.readers.pop().set()
            return
        lane = content.subject if type(content) is Envelope else None
        channel = item.address.channel
        self.append(Delivery(content, channel, lane, item.attempt, 1, item.due, item.story))

    def _is_new(self, item: Outgoing, content: Envelope) -> bool:
        """Whether nothing is to be said of it but its event; its channel is that of its line."""
        line = self._lines.get(content.type)
        return (
            line is not None
            and line.channel == item.address.channel
            and item.attempt == 1
            and item.due is None
            and item.story is None
            and content.reply_to is None
        )

    def append(self, delivery: Delivery) -> None:
        """Append a delivery, and wake one reader."""
        self.made += 1
        self.ready.append(delivery)
        if self.readers:
            self.readers.pop().set()

    @property
    def over(self) -> bool:
        """Whether it holds as much as it has room for."""
        return len(self.ready) >= self.capacity

    @property
    def full(self) -> bool:
        """Whether senders wait for it. Without a member nobody would ever make room."""
        return self.over and bool(self.followed)

    async def wait_for_room(self) -> None:
        """Wait until somebody made room, or the group went: then look again whom to wait for."""
        if self.full:
            if self.room is None:
                self.room = anyio.Event()
            await self.room.wait()

    def take(self, limit: int, owner: object, until: float | None) -> Sequence[Delivery]:
        """Lend at most ``limit``, until a moment if loans run out; there is at least one."""
        ready = self.ready
        count = min(limit, len(ready))
        plain = not self.made and until is None
        batch = self._fresh(count) if plain else self._made_now(count)
        if until is not None:
            for place, delivery in enumerate(batch, self.place):
                turn = delivery.receipt
                delivery.receipt = Turn(place if turn is None else turn.place, until)
        if len(self.lent) >= _MANY_BATCHES:
            self.lent = deque(batch for batch in self.lent if _some_lent(batch.deliveries))
        self.lent.append(Batch(batch, owner, self.place))
        self.place += count
        self.pending += count
        if self.room is not None and len(ready) < self.capacity:
            self.let_go()
        return batch

    def lend(self, event: Envelope, owner: object, place: int) -> Delivery:
        """What went from hand to hand is lent as everything else is, at the place it has."""
        delivery = Delivery(event, self._channel_of(event), event.subject)
        self.lent.append(Batch([delivery], owner, place))
        return delivery

    def _fresh(self, count: int) -> Fresh:
        ready: deque[Any] = self.ready
        if count == len(ready):
            events = list(ready)
            ready.clear()
        else:
            popleft = ready.popleft
            events = [popleft() for _ in range(count)]
        return Fresh(events, self._channel_of)

    def _made_now(self, count: int) -> list[Delivery]:
        batch: list[Delivery] = []
        for _ in range(count):
            one = self.ready.popleft()
            if type(one) is Delivery:
                self.made -= 1
                batch.append(one)
            else:
                assert type(one) is Envelope
                batch.append(Delivery(one, self._channel_of(one), one.subject))
        return batch

    def _channel_of(self, event: Envelope) -> str:
        return self._lines[event.type].channel

    def done(self, deliveries: Sequence[Delivery]) -> int:
        """Forget what was handled; how many were not lent any more."""
        lost = finished = 0
        if type(deliveries) is Fresh:
            if deliveries.receipt is DONE:
                return 0
            deliveries.receipt = DONE
            finished = len(deliveries) - len(deliveries.made)
            if self.lent and self.lent[0].deliveries is deliveries:
                self.lent.popleft()
            deliveries = list(deliveries.made)
        for delivery in deliveries:
            if delivery.receipt is DONE:
                lost += delivery.expired
            else:
                delivery.receipt = DONE
                finished += 1
        self.pending -= finished
        if self.pending == 0:
            self.lent.clear()
        return lost

    def put_back(self, deliveries: Sequence[Delivery], *, handed_out: bool) -> None:
        """Lend again, first and in order; ``handed_out`` counts the time they were out."""
        places = self._places()
        back: list[Delivery] = []
        for delivery in deliveries:
            if not _is_lent(delivery):
                continue
            turn = delivery.receipt
            again = msgspec.structs.replace(
                delivery,
                receipt=Turn(places[id(delivery)] if turn is None else turn.place),
                delivered=delivery.delivered + handed_out,
            )
            # Whoever still has it must see that it is not theirs any more.
            delivery.expired, delivery.receipt = True, DONE
            back.append(again)
        self.pending -= len(back)
        self._insert(back)
        self.wake()

    def _insert(self, back: list[Delivery]) -> None:
        """Before what was never lent, and among what was given back earlier, in order."""
        ready = self.ready
        self.made += len(back)
        while ready and type(first := ready[0]) is Delivery and first.receipt is not None:
            ready.popleft()
            back.append(first)
        back.sort(key=lambda delivery: delivery.receipt.place)
        ready.extendleft(reversed(back))

    def _places(self) -> dict[int, int]:
        """Where each lent delivery stood. Worked out here, so that nothing is counted before."""
        return {
            id(delivery): place
            for batch in self.lent
            for place, delivery in enumerate(batch.deliveries, batch.first)
        }

    def expire(self, now: float) -> float | None:
        """Take back loans that ran out; when the next one does."""
        held = [d for b in self.lent for d in b.deliveries if _is_lent(d)]
        self.put_back([d for d in held if d.receipt.until <= now], handed_out=True)
        return min((d.receipt.until for d in held if _is_lent(d)), default=None)

    def prolong(self, delivery: Delivery, until: float) -> None:
        """The loan, if it is one still, lasts until then."""
        if _is_lent(delivery):
            delivery.receipt.until = until

    def leave(self, owner: object) -> None:
        """The feed is gone: what it had comes again."""
        self._last = self.followed.pop(owner, self._last)
        batches = [batch for batch in self.lent if batch.owner is owner]
        self.put_back([d for b in batches for d in b.deliveries], handed_out=True)
        self.lent = deque(batch for batch in self.lent if batch.owner is not owner)
        if not self.followed:
            self.let_go()

    def forget_reader(self, wake: Wake) -> None:
        """The reader went away; what it was woken for must wake another."""
        if wake in self.readers:
            self.readers.remove(wake)
        elif self.ready:
            self.wake()

    def forget_events(self, keep: Callable[[Envelope], bool]) -> None:
        """Of the events that wait, only these are left; what waits to be tried again stays."""
        left = [one for one in self.ready if (event := self._event(one)) is None or keep(event)]
        self.ready.clear()  # the same deque for good: ports append to it
        self.ready.extend(left)
        self.made = sum(type(one) is Delivery for one in left)
        self.let_go()

    def _event(self, one: Envelope | Delivery) -> Envelope | None:
        """None for what was sent, or is tried again, for this group only."""
        if type(one) is Envelope:
            return one
        assert type(one) is Delivery
        content, tried = one.content, one.attempt > 1 or one.story is not None
        if tried or type(content) is not Envelope or not self.matches(content.type):
            return None
        return content

    def let_go(self) -> None:
        """Senders that wait for room look again: there is some, or the group has gone."""
        if self.room is not None:
            self.room.set()
            self.room = None

    def wake(self) -> None:
        """Let every reader look again."""
        while self.readers:
            self.readers.pop().set()
