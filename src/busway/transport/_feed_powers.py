"""What a feed can do beyond receive, ack and release, where its broker can.

Each call but ``hand`` raises ``TransportError`` when the broker could not be told, or has not
answered within the adapter's deadline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ..message import Envelope
from ._delivery import Delivery
from ._items import Outgoing, Story
from ._protocols import Group

__all__ = [
    "Extends",
    "Follows",
    "HandsOver",
    "Moves",
    "Redelivers",
]


@runtime_checkable
class Redelivers(Protocol):
    """A feed whose broker can hand a delivery out again later, without it being sent again."""

    async def redeliver(self, delivery: Delivery, after: float, story: Story, /) -> None:
        """Give it back; it comes again after ``after`` seconds with ``attempt`` + 1 and the story.
        The lane is free meanwhile. Late or twice is harmless."""
        ...


@runtime_checkable
class Moves(Protocol):
    """A feed that can send and acknowledge in one atomic step."""

    async def move(self, delivery: Delivery, item: Outgoing, /) -> bool:
        """Send the item and acknowledge the delivery, both or neither. False when the loan was
        lost, or the delivery was settled before, by this call too: then neither."""
        ...


@runtime_checkable
class Extends(Protocol):
    """A feed whose loans run out and can be prolonged. Without it a loan lasts as the feed does."""

    lease: float
    """Seconds a loan lasts. The core extends every third of it."""

    async def extend(self, deliveries: Sequence[Delivery], /) -> Sequence[Delivery]:
        """Prolong these loans by ``lease`` seconds from now; returns those that are lost."""
        ...


@runtime_checkable
class Follows(Protocol):
    """A feed whose patterns can change while it is open."""

    async def follow(self, group: Group, /) -> None:
        """From when this returns, events that match the new patterns are received; channels that
        can hold none any more are not read."""
        ...


@runtime_checkable
class HandsOver(Protocol):
    """A feed in this process that can give a single event from hand to hand, with nothing made
    for it but itself. Asked by a group that holds nothing and has one worker; never under loans
    that run out."""

    async def hand(self) -> Envelope | None:
        """Wait for the next event. What is returned is lent until ``done`` or ``lend``, and all
        that ``Fresh`` says of its events is true of it. None when ``receive`` has to be called
        instead: something else waits, or may. Atomic under cancellation, as ``receive`` is."""
        ...

    def done(self) -> None:
        """Acknowledge what ``hand`` returned."""
        ...

    def lend(self) -> Delivery:
        """What ``hand`` returned, as the delivery it would have been: from now on it is settled as
        any other."""
        ...
