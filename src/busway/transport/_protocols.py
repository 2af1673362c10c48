"""What every adapter implements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from ._delivery import Delivery
from ._items import Outcome, Outgoing, Start

__all__ = [
    "Feed",
    "Group",
    "Transport",
]


class Group(msgspec.Struct, frozen=True):
    """Who listens: one feed per group and process."""

    name: str
    patterns: tuple[str, ...]
    """The union of its subscriptions' patterns, as users wrote them. Empty: only what is sent to
    this group's own retry and reply addresses."""
    matches: Callable[[str], bool]
    """Whether a topic matches one of the patterns. An adapter never interprets a pattern itself."""
    channels: frozenset[str] | None = None
    """The channels that topics of these patterns can lie in; None when that cannot be told."""
    start: Start = "earliest"
    durable: bool = True
    """Whether the broker keeps the group's place and its events while nobody listens. False: the
    group begins now, and everything of it is forgotten when its feed is left."""
    member: str = ""
    """The name of this process in the group, unique among the living."""


class Feed(Protocol):
    """What one process of one group receives. Used by one reader at a time, acked by any."""

    async def receive(self, limit: int, /) -> Sequence[Delivery]:
        """Wait for at least one delivery and return at most ``limit``.

        - It returns deliveries of one lane in the order they were sent.
        - It is atomic under cancellation: cancelled, it has lent nothing, and the next call gets
          what this one would have got.
        - What is simply new may come as a ``Fresh``, for which no delivery need be made.
        - A delivery whose topic no pattern matches may be among them; the core decides what
          becomes of it.
        - Bytes that are no envelope come as ``Raw``; they stop nothing.
        - What was lent to a member that is gone comes again to one that lives, with ``delivered``
          counted up where the broker counts.
        - A broker that breaks raises ``TransportError``; the core calls again, with backoff, for
          ever, and the adapter reconnects on that call. What the broker handed out to a call that
          raised, or that it never answered, comes to one of the next.
        - It is the one call that may wait for ever. While a broker says nothing it may wait or
          raise; afterwards it goes on.
        """
        ...

    async def ack(self, deliveries: Sequence[Delivery], /) -> int:
        """These are done: they are not handed out again, to anybody, in this group. (A broker that
        keeps one offset may hand out again what was done above a gap, after a change of owner.)

        In any order. Twice, or after the loan was lost, is harmless and raises nothing; returns how
        many loans were lost. Raises ``TransportError`` when the broker could not be told, or has
        not answered within the adapter's deadline; the core tries again.

        While more is at hand to receive it may return before the broker was told, so that telling
        goes on beside handling (docs/adr/0027). Then

        - the adapter tells by itself, and again until the broker has it, without another call;
        - to this member it is not handed out again, and leaving the feed in good order tells first;
        - a member that dies leaves untold what it acknowledged in a time that the adapter names,
          and that does not grow while the broker is away: when that is over, ``ack`` waits. This
          comes again, to others. So what must not be done twice needs more than an ``ack``;
        - a loan that turns out to be lost meanwhile is counted by no call.
        """
        ...

    async def release(self, deliveries: Sequence[Delivery], /) -> None:
        """Given back unhandled: they come again, to any member, in order, and as if this delivery
        had not been counted. Late or twice is harmless. Raises ``TransportError`` when the broker
        could not be told, or has not answered within the adapter's deadline. Then they are lent as
        before: the core prolongs them, holds their lanes and gives them back again, in one call
        with others perhaps. What the broker heard of all the same may come again by itself; the
        earlier delivery is lost then.

        They come with the attempt and the story with which they were sent. Those that the core has
        raised since, for attempts in place, may be kept; nothing is ever below the one or above the
        other.
        """
        ...


class Transport(Protocol):
    """One broker, as the bus sees it.

    ``async with transport`` connects and disconnects. It raises ``TransportError`` within the
    adapter's deadline when the broker cannot be had; leaving ends within it, and raises nothing. A
    transport may be entered again after it was left, and by several buses at once: the first opens
    and the last closes.
    """

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        """Send the items in their order and return an outcome for each, in the same order.

        - ``Written`` means that the broker has it, to the durability it was set up for.
        - It returns within ``timeout`` seconds: what was never sent by then is ``NotWritten``, what
          may have arrived is ``Unknown``. Only an adapter can tell which, so the deadline is its.
        - One item that fails does not keep the others from being sent.
        - Cancelled, it may have sent any of them.
        - Items of one key and address keep their order.
        """
        ...

    def listen(self, group: Group, /) -> AbstractAsyncContextManager[Feed]:
        """Join a group.

        - Entering returns when the group exists: what is published from then on reaches it. It
          raises ``TransportError`` within the adapter's deadline when the broker says nothing; then
          no member is left behind.
        - A group gets every event that matches its patterns, and what is sent to its own retry and
          reply addresses; another group's are never seen.
        - Inside a group each event goes to one member at a time.
        - Leaving gives back what was not acknowledged. It raises nothing when the broker is gone or
          says nothing, and ends within the adapter's deadline.
        """
        ...
