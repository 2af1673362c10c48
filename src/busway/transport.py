"""The contract between the bus and whatever carries its events.

A transport does three things: send, receive, acknowledge. Retries, dead letters, order,
concurrency, request and reply are made from those three, once, in the core. **An adapter never
retries, never decides and never runs user code.**

Words: an *envelope* travels; a *channel* is where a broker keeps events (one stream, one topic);
a *group* shares events among its members; a *delivery* is an envelope lent to this process until it
is acknowledged, released, or the loan runs out; a *lane* is what is handled one after another.

Every sentence below that says what an adapter does is a test of ``busway.testing.TransportSuite``.
Beside the required protocols stand the *powers*: small protocols of which an adapter implements
those its broker can keep. The core looks for them once, when a subscription starts; where one is
missing that was asked for, starting fails with ``MissingPower`` and its name. No power is ever a
method that raises ``NotImplementedError``.

The errors that may cross this boundary are ``TransportError`` (any fault of the broker, mapped at
the adapter's edge, once, with the client's exception as its cause) and ``OptionError``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal, Protocol, runtime_checkable

import anyio
import msgspec

from ._clock import SystemClock as SystemClock
from .message import Envelope

__all__ = [
    "WRITTEN",
    "Address",
    "Announces",
    "Browsed",
    "Browses",
    "Clock",
    "Delivery",
    "Discards",
    "Encoder",
    "Extends",
    "Feed",
    "Follows",
    "Group",
    "GroupState",
    "Holds",
    "Loan",
    "ManagesGroups",
    "Moves",
    "NotWritten",
    "Outcome",
    "Outgoing",
    "Port",
    "Posts",
    "Purpose",
    "Raw",
    "Redelivers",
    "Rewinds",
    "Start",
    "Story",
    "SystemClock",
    "TakesClock",
    "Transport",
    "Unknown",
    "Volatile",
    "Written",
]

Start = Literal["earliest", "latest"] | datetime
"""Where a group that the broker has never seen begins: with what is kept, with what comes from now
on, or with what was sent at a moment or after it (with a time zone)."""


class Purpose(Enum):
    """What an address is for."""

    EVENT = "event"
    """Where publishers send: every group whose patterns match gets it."""
    RETRY = "retry"
    """For one group only: what it failed at and will try again."""
    DEAD = "dead"
    """For one group only: what it gave up on. Nobody receives it; ``Browses`` reads it."""
    REPLY = "reply"
    """For one group only: answers to its requests."""


class Address(msgspec.Struct, frozen=True):
    """Where an item goes: a channel, for a purpose, of a group (None for events)."""

    channel: str
    purpose: Purpose = Purpose.EVENT
    group: str | None = None


class Raw(msgspec.Struct, frozen=True):
    """Bytes that nobody could decode, kept as they came."""

    data: bytes
    content_type: str | None = None
    headers: Mapping[str, str] = {}
    """What the broker held beside them, as text."""
    reason: str = ""
    """Why they could not be decoded."""


class Story(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happened to an envelope in one group so far. Travels beside it, never inside it."""

    group: str
    handler: str = ""
    attempts: int = 0
    """Failed attempts so far."""
    first_failed: float | None = None
    """Seconds since 1970 (UTC)."""
    last_failed: float | None = None
    kind: str = ""
    """The name of the last exception's type."""
    reason: str = ""
    """What the last exception said."""
    traceback: str = ""
    """The last exception's traceback, at most 8,192 characters of its end."""
    verdict: str = ""
    """Why no further attempt was made; only in a dead letter."""
    replays: int = 0
    """How often it was replayed from the dead letters."""


class Encoder(Protocol):
    """Turns an envelope into bytes: the bus's ``codec`` with its ``max_size``."""

    content_type: str

    def encode(self, envelope: Envelope, /) -> bytes:
        """Raises ``EncodeError`` or ``TooLarge``."""
        ...


class Outgoing(msgspec.Struct):
    """One item to send. The envelope in it is never changed, whatever it is sent for."""

    content: Envelope | Raw
    address: Address
    encoder: Encoder
    """Encodes the content, for an adapter that writes bytes. Encode every item before the first is
    written; an item that cannot be encoded is ``NotWritten`` with that error, the others are sent."""
    attempt: int = 1
    """Which attempt its next handling will be."""
    due: float | None = None
    """Not to be handled before this moment (seconds since 1970, UTC)."""
    story: Story | None = None
    waits: bool = True
    """Whether the sender may be made to wait for room. False for what a handler publishes and for
    the bus's own re-sends: those would otherwise wait for themselves. Overshoot is counted."""


class Written(msgspec.Struct, frozen=True):
    """The broker has it."""


class NotWritten(msgspec.Struct, frozen=True):
    """The broker does not have it; sending it again cannot make a duplicate."""

    error: BaseException


class Unknown(msgspec.Struct, frozen=True):
    """It may have been written: the answer never came."""

    error: BaseException


Outcome = Written | NotWritten | Unknown
WRITTEN: Final = Written()


class Loan:
    """What an adapter lends deliveries under, when it can be told to take them back.

    One loan per partition or shard and tenure. The adapter calls ``revoke``; from then on the core
    starts no delivery of it and releases those that wait. ``drained`` returns when none is running,
    so that an adapter can commit what was finished before it lets go.
    """

    __slots__ = ("_drained", "revoked", "running")

    def __init__(self) -> None:
        self.revoked = False
        self.running = 0
        """Deliveries of this loan whose handler has started and which are not settled. The core
        counts it."""
        self._drained: anyio.Event | None = None

    def revoke(self) -> None:
        """No delivery of this loan may start any more. Twice is harmless."""
        self.revoked = True

    def finished(self) -> None:
        """The core's: one running delivery was settled or abandoned."""
        self.running -= 1
        if self._drained is not None and self.running <= 0:
            self._drained.set()

    async def drained(self) -> None:
        """Wait until nothing of this loan is running. The caller brings the deadline."""
        while self.running > 0:
            if self._drained is None or self._drained.is_set():
                self._drained = anyio.Event()
            await self._drained.wait()


class Delivery(msgspec.Struct, eq=False, gc=False):
    """One item lent to this process. Each is handed back exactly once: by ``ack`` or ``release``,
    unless its feed is left first."""

    content: Envelope | Raw
    channel: str
    lane: Hashable = None
    """Deliveries of one lane are handled one after another, in the order received; None binds it to
    no other. The key, or the partition and the key."""
    attempt: int = 1
    """As it was sent; the core counts it up for attempts in place."""
    delivered: int = 1
    """How often the broker has handed it out, this time included. More than 1: somebody had it and
    never came back. 1 where the broker does not count."""
    due: float | None = None
    """As it was sent. The core keeps a delivery that is early until then."""
    story: Story | None = None
    loan: Loan | None = None
    """All deliveries of a feed have one, or none has."""
    receipt: Any = None
    """The adapter's own; the core never looks inside."""
    expired: bool = False
    """The loan ran out: somebody else may have it. Set by the core or the adapter, never unset."""

    @property
    def lost(self) -> bool:
        """Whether this process no longer holds the loan."""
        return self.expired or (self.loan is not None and self.loan.revoked)


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
        - A delivery whose topic no pattern matches may be among them; the core decides what
          becomes of it.
        - Bytes that are no envelope come as ``Raw``; they stop nothing.
        - What was lent to a member that is gone comes again to one that lives, with ``delivered``
          counted up where the broker counts.
        - A broker that breaks raises ``TransportError``; the core calls again, with backoff, for
          ever, and the adapter reconnects on that call.
        """
        ...

    async def ack(self, deliveries: Sequence[Delivery], /) -> int:
        """These are done: they are not handed out again, to anybody, in this group.

        In any order. Twice, or after the loan was lost, is harmless and raises nothing; returns how
        many loans were lost. Raises ``TransportError`` when the broker could not be told; the core
        tries again.
        """
        ...

    async def release(self, deliveries: Sequence[Delivery], /) -> None:
        """Given back unhandled: they come again, to any member, in order, with the same attempt
        and as if this delivery had not been counted. Late or twice is harmless."""
        ...


class Transport(Protocol):
    """One broker, as the bus sees it.

    ``async with transport`` connects and disconnects. It raises ``TransportError`` within a
    deadline when the broker cannot be had. A transport may be entered again after it was left, and
    by several buses at once: the first opens and the last closes.
    """

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def send(
        self, items: Sequence[Outgoing], /, *, timeout: float
    ) -> Sequence[Outcome]:
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

        - Entering returns when the group exists: what is published from then on reaches it.
        - A group gets every event that matches its patterns, and what is sent to its own retry and
          reply addresses; another group's are never seen.
        - Inside a group each event goes to one member at a time.
        - Leaving gives back what was not acknowledged. It raises nothing when the broker is gone.
        """
        ...


# --- optional powers ---------------------------------------------------------------------------


@runtime_checkable
class Holds(Protocol):
    """A transport that keeps an item with a due time to itself until then.

    Without it such an item is delivered early and the core keeps it, lent and unacknowledged, at
    the price of room in this process.
    """

    holds: Literal[True]


@runtime_checkable
class Volatile(Protocol):
    """A transport whose events live in this process only.

    What is not handled when the bus stops is gone, so stopping first waits, within its grace, until
    nothing is left; on any other transport what was not started is given back at once.
    """

    volatile: Literal[True]


@runtime_checkable
class Redelivers(Protocol):
    """A feed whose broker can hand a delivery out again later, without it being sent again."""

    async def redeliver(self, delivery: Delivery, after: float, story: Story, /) -> None:
        """Give it back; it comes again after ``after`` seconds with ``attempt`` + 1 and the story.
        The lane is free meanwhile."""
        ...


@runtime_checkable
class Moves(Protocol):
    """A feed that can send and acknowledge in one atomic step."""

    async def move(self, delivery: Delivery, item: Outgoing, /) -> bool:
        """Send the item and acknowledge the delivery, both or neither. False when the loan was
        lost: then neither."""
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
        """From when this returns, events that match the new patterns are received; those that
        match none any more are not sent here."""
        ...


class Browsed(msgspec.Struct, frozen=True):
    """One entry read without effect."""

    position: str
    """Where it lies. Positions of one address sort as text in the order they were written."""
    content: Envelope | Raw
    story: Story | None = None
    attempt: int = 1


@runtime_checkable
class Browses(Protocol):
    """A transport that can read an address without a group and without effect."""

    async def addresses(self, purpose: Purpose, group: str | None, /) -> Sequence[Address]:
        """The addresses of this purpose and group that were ever sent to and may hold something."""
        ...

    def browse(self, address: Address, /, *, after: str | None = None) -> AsyncIterator[Browsed]:
        """The entries of an address in order, those after a position if one is given, up to what is
        there now. An address nobody sent to has none."""
        ...


@runtime_checkable
class Discards(Protocol):
    """A transport that can remove one entry."""

    async def discard(self, address: Address, position: str, /) -> bool:
        """Remove the entry; False when it was not there. Its neighbours keep their positions."""
        ...


@runtime_checkable
class Rewinds(Protocol):
    """A transport that can move a group's place while nobody listens in it."""

    async def rewind(self, group: str, to: Start, /) -> None: ...


Port = Callable[[Envelope], bool]
"""Takes one event at once. False: nothing was done, because there is no room or more has to be done;
the core calls ``send``."""


@runtime_checkable
class Posts(Protocol):
    """A transport in this process that can take an event without a coroutine.

    A publish and its handling together may cost no more than a hand-off through a bare queue;
    without this power ``send`` alone takes a third of that.
    """

    def port(self, topic: str, address: Address, /) -> Port:
        """What does for one event of a topic, not due later, what ``send`` does. It stays valid
        whatever groups come and go."""
        ...


class GroupState(msgspec.Struct, frozen=True):
    """What a broker knows of a group."""

    name: str
    members: int
    """Feeds open on it, in every process the broker knows of."""
    lag: int | None
    """Events that wait to be handed out; None where the broker cannot tell."""
    pending: int | None
    """Deliveries lent and not acknowledged."""
    delayed: int | None = None
    """What it failed at and will try again at a later time."""
    next_due: float | None = None
    """When the first of those is due (seconds since 1970, UTC)."""
    dead: int | None = None
    """Dead letters set aside for it."""


@runtime_checkable
class ManagesGroups(Protocol):
    """A transport that can list groups and end one."""

    async def groups(self) -> Sequence[GroupState]: ...

    async def remove_group(self, name: str, /) -> bool:
        """Forget a group, what waits for it and its dead letters; False when there was none.
        Raises ``TransportError`` (not retryable) while a member listens."""
        ...


@runtime_checkable
class Announces(Protocol):
    """A transport with room for each member of a group to say which patterns it handles."""

    async def announce(self, group: Group, /) -> Mapping[str, tuple[str, ...]]:
        """Record this member's patterns and return those of every living member, by name."""
        ...


class Clock(Protocol):
    """Where the time comes from; tests bring their own."""

    def time(self) -> float:
        """Seconds since 1970 (UTC)."""
        ...

    async def wait(self, event: anyio.Event, until: float | None, /) -> bool:
        """Wait for the event, at most until that moment; whether the event was set."""
        ...


@runtime_checkable
class TakesClock(Protocol):
    """A transport in this process, whose due times follow the bus's clock."""

    clock: Clock


