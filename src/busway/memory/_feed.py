"""What one member of a group receives from memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import anyio
import msgspec

from ..message import Envelope
from ..transport import Clock, Delivery, Group, Outgoing, Story
from ._mailbox import DONE, Mailbox
from ._wake import alarm

__all__ = ["LeasedFeed", "MemoryFeed"]


class Hub(Protocol):
    """The part of the transport that a feed needs."""

    clock: Clock

    def pump(self, now: float, /) -> float | None:
        """Hand over what is due; when the next item is."""
        ...

    @property
    def next_due(self) -> float | None: ...

    def follow(self, box: Mailbox, owner: object, group: Group, /) -> None: ...

    def hold(self, box: Mailbox, delivery: Delivery, /) -> None:
        """Deliver it when it is due."""
        ...

    def accept(self, item: Outgoing, /) -> None:
        """Take an item whose sender does not wait."""
        ...


class _Feed:
    """What both kinds of feed are."""

    def __init__(self, hub: Hub, box: Mailbox) -> None:
        self._hub = hub
        self._box = box
        self._alarm = alarm()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of group {self._box.name!r}>"

    async def receive(self, limit: int, /) -> Sequence[Delivery]:
        box = self._box
        # Nothing awaits between taking and returning: that is what makes it atomic.
        while True:
            wake_at = self._hub.next_due
            if wake_at is not None:
                wake_at = self._hub.pump(self._hub.clock.time())
            if box.ready:
                return box.take(limit, self, None)
            if wake_at is None:
                await self._woken(box)
            else:
                await self._woken_or_due(box, wake_at)

    async def _woken(self, box: Mailbox) -> None:
        box.readers.append(self._alarm)
        try:
            await self._alarm.armed()
        except BaseException:
            box.forget_reader(self._alarm)
            raise

    async def _woken_or_due(self, box: Mailbox, wake_at: float | None) -> None:
        event = anyio.Event()  # what a clock waits for
        box.readers.append(event)
        try:
            await self._hub.clock.wait(event, wake_at)
        finally:
            box.forget_reader(event)

    async def ack(self, deliveries: Sequence[Delivery], /) -> int:
        return self._box.done(deliveries)

    async def release(self, deliveries: Sequence[Delivery], /) -> None:
        self._box.put_back(deliveries, handed_out=False)

    async def redeliver(self, delivery: Delivery, after: float, story: Story, /) -> None:
        if delivery.receipt is DONE or self._box.done([delivery]):
            return
        again = msgspec.structs.replace(
            delivery,
            receipt=None,
            attempt=delivery.attempt + 1,
            delivered=1,
            due=self._hub.clock.time() + after,
            story=story,
        )
        self._hub.hold(self._box, again)

    async def move(self, delivery: Delivery, item: Outgoing, /) -> bool:
        if delivery.receipt is DONE or self._box.done([delivery]):
            return False
        self._hub.accept(item)
        return True

    async def follow(self, group: Group, /) -> None:
        self._hub.follow(self._box, self, group)

    def leave(self) -> None:
        """Before its mailbox takes back what it lent: what only the feed knows of becomes lent."""


class MemoryFeed(_Feed):
    """A feed whose loans last until it is left. Powers: Redelivers, Moves, Follows, HandsOver."""

    def __init__(self, hub: Hub, box: Mailbox) -> None:
        super().__init__(hub, box)
        self._handed: Envelope | None = None
        """What ``hand`` returned and nobody has settled."""
        self._place = 0

    async def hand(self) -> Envelope | None:
        box = self._box
        if box.ready or self._hub.next_due is not None:
            return None
        box.readers.append(self._alarm)
        try:
            await self._alarm.armed()
        except BaseException:
            box.forget_reader(self._alarm)
            raise
        if len(box.ready) != 1 or box.made:
            return None
        event = box.ready.popleft()
        assert type(event) is Envelope
        self._handed = event
        self._place = box.place
        box.place += 1
        box.pending += 1
        if box.room is not None:
            box.let_go()
        return event

    def done(self) -> None:
        self._handed = None
        self._box.pending -= 1

    def lend(self) -> Delivery:
        event, self._handed = self._handed, None
        assert event is not None
        return self._box.lend(event, self, self._place)

    def leave(self) -> None:
        if self._handed is not None:
            self.lend()


class LeasedFeed(_Feed):
    """A feed whose loans run out. Powers: Redelivers, Moves, Follows, Extends."""

    def __init__(self, hub: Hub, box: Mailbox, lease: float) -> None:
        super().__init__(hub, box)
        self.lease = lease

    async def receive(self, limit: int, /) -> Sequence[Delivery]:
        box, clock = self._box, self._hub.clock
        while True:
            now = clock.time()
            moments = [m for m in (self._hub.pump(now), box.expire(now)) if m is not None]
            if box.ready:
                return box.take(limit, self, now + self.lease)
            await self._woken_or_due(box, min(moments, default=None))

    async def extend(self, deliveries: Sequence[Delivery], /) -> Sequence[Delivery]:
        now = self._hub.clock.time()
        self._box.expire(now)
        for delivery in deliveries:
            self._box.prolong(delivery, now + self.lease)
        return [delivery for delivery in deliveries if delivery.expired]
