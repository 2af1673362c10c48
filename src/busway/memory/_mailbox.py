"""What waits for one group, and what it has lent out."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import inf

import anyio
import msgspec

from ..message import Envelope
from ..transport import Delivery, Group, Outgoing
from ._wake import Wake

__all__ = ["DONE", "Batch", "Mailbox"]

DONE = object()
"""The receipt of a delivery that was acknowledged or given back."""


_MANY_BATCHES = 64


def _is_lent(delivery: Delivery) -> bool:
    return delivery.receipt is not DONE


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
        "_place",
        "_room",
        "capacity",
        "durable",
        "followed",
        "lent",
        "name",
        "overshoot",
        "pending",
        "readers",
        "ready",
    )

    def __init__(self, group: Group, capacity: int) -> None:
        self.name = group.name
        self.durable = group.durable
        self.capacity = capacity
        self.followed: dict[object, Group] = {}
        """Each living member's patterns; an event that any of them matches belongs to the group."""
        self._last = group
        self.ready: deque[Delivery] = deque()
        self.lent: deque[Batch] = deque()
        self.pending = 0
        self._place = 0
        self.overshoot = 0
        """Items taken in beyond the capacity, because their sender must not wait."""
        self.readers: list[Wake] = []
        self._room: anyio.Event | None = None

    def matches(self, topic: str) -> bool:
        if not self.followed:
            return self._last.matches(topic)
        return any(group.matches(topic) for group in self.followed.values())

    def put(self, item: Outgoing) -> None:
        """Append an item and wake one reader."""
        content = item.content
        lane = content.subject if type(content) is Envelope else None
        # Positional and one call: this line runs once for each event and group.
        self.ready.append(
            Delivery(content, item.address.channel, lane, item.attempt, 1, item.due, item.story)
        )
        if self.readers:
            self.readers.pop().set()

    def append(self, delivery: Delivery) -> None:
        """Append what was lent before, and wake one reader."""
        self.ready.append(delivery)
        if self.readers:
            self.readers.pop().set()

    @property
    def full(self) -> bool:
        return len(self.ready) >= self.capacity

    async def wait_for_room(self) -> None:
        while len(self.ready) >= self.capacity:
            if self._room is None:
                self._room = anyio.Event()
            await self._room.wait()

    def take(self, limit: int, owner: object, until: float | None) -> Sequence[Delivery]:
        """Lend at most ``limit``, until a moment if loans run out; there is at least one."""
        ready = self.ready
        count = min(limit, len(ready))
        popleft = ready.popleft
        batch = [popleft() for _ in range(count)]
        if until is not None:
            for place, delivery in enumerate(batch, self._place):
                turn = delivery.receipt
                delivery.receipt = Turn(place if turn is None else turn.place, until)
        if len(self.lent) >= _MANY_BATCHES:
            self.lent = deque(b for b in self.lent if any(_is_lent(d) for d in b.deliveries))
        self.lent.append(Batch(batch, owner, self._place))
        self._place += count
        self.pending += count
        if self._room is not None and len(ready) < self.capacity:
            self._room.set()
            self._room = None
        return batch

    def done(self, deliveries: Sequence[Delivery]) -> int:
        """Forget what was handled; how many were not lent any more."""
        lost = finished = 0
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
        while ready and ready[0].receipt is not None:
            back.append(ready.popleft())
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

    def forget_reader(self, wake: Wake) -> None:
        """The reader went away; what it was woken for must wake another."""
        if wake in self.readers:
            self.readers.remove(wake)
        elif self.ready:
            self.wake()

    def wake(self) -> None:
        """Let every reader look again."""
        while self.readers:
            self.readers.pop().set()
