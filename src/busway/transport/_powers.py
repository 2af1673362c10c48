"""What a transport can do beyond send and listen, where its broker can.

Each call raises ``TransportError`` when the broker could not be asked, or has not answered within
the adapter's deadline; for ``browse`` the deadline counts anew with each entry.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import msgspec

from ..message import Envelope
from ._items import Address, Purpose, Raw, Start, Story
from ._protocols import Group
from ._time import Clock

__all__ = [
    "Announces",
    "Browsed",
    "Browses",
    "ChannelState",
    "Charts",
    "Discards",
    "GroupState",
    "Holds",
    "Live",
    "Located",
    "ManagesGroups",
    "Port",
    "Posts",
    "Reports",
    "Rewinds",
    "TakesClock",
    "Volatile",
]


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
class Live(Protocol):
    """A transport that tells an event to whoever listens now and keeps it for nobody: at most once.

    - The core joins no durable group and shares none among processes: each member has a group of
      its own. A subscription that asks for what is kept is refused by name, any other is lowered.
    - ``Written`` means that the broker has taken it for those who listen, were it nobody.
    - A member misses what is published while its connection is broken, and what comes faster than
      it is received for longer than the adapter's buffer lasts. Neither stops anything; the adapter
      counts and logs both.
    - What was lent to a member that is gone comes to nobody. ``ack`` tells nobody, ``release``
      gives back to the member itself.
    - An item for a retry or a dead letter, or with a due time to come, is ``NotWritten``.
    """

    live: Literal[True]


class Browsed(msgspec.Struct, frozen=True):
    """One entry read without effect."""

    position: str
    """Where it lies. Positions of one address sort as text in the order they are browsed; those of
    one key, in the order they were written."""
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

    async def rewind(self, group: str, to: Start, /) -> None:
        """Hand out again what is kept from there on.

        Raises ``TransportError`` (not retryable) while a member listens, or when there is no such
        group.
        """
        ...


Port = Callable[[Envelope], bool]
"""Takes one event at once. False: nothing was done, because there is no room or more has to be
done; the core calls ``send``."""


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


class ChannelState(msgspec.Struct, frozen=True):
    """What a broker knows of a group in one channel."""

    name: str
    lag: int | None
    """As in ``GroupState``."""
    pending: int | None
    """As in ``GroupState``."""
    oldest: float | None = None
    """When the first event was written that the group has neither handled nor set aside to try
    again (seconds since 1970, UTC); None when there is none."""


class GroupState(msgspec.Struct, frozen=True):
    """What a broker knows of a group."""

    name: str
    members: int
    """Feeds open on it, in every process the broker knows of."""
    lag: int | None
    """Events that wait to be handed out; None where the broker cannot tell. Then ``oldest`` says
    whether there are any."""
    pending: int | None
    """Deliveries lent and not acknowledged."""
    delayed: int | None = None
    """What it failed at and will try again at a later time."""
    next_due: float | None = None
    """When the first of those is due (seconds since 1970, UTC)."""
    dead: int | None = None
    """Dead letters set aside for it."""
    oldest: float | None = None
    """The earliest of its channels; None when there is none, or the broker cannot tell."""
    channels: tuple[ChannelState, ...] = ()
    """The same for each channel, by name; none where the broker does not tell them apart."""


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


@runtime_checkable
class Charts(Protocol):
    """A transport that keeps, beside the events, where topics lie: two processes that were told
    differently would miss each other's events, and find out by nothing else."""

    async def chart(self, channels: Mapping[str, str], /) -> Mapping[str, str]:
        """Record in which channels the topics of these patterns lie, where nobody has yet, and
        return all that is recorded. The core asks once, when a bus starts.

        Raises ``OptionError``, which names both channels and says what to do, when another channel
        is recorded for one of the patterns; then nothing is recorded.
        """
        ...


@runtime_checkable
class Located(Protocol):
    """A transport whose place can be told from any other's, so that ``relay`` notices a loop."""

    async def location(self) -> str:
        """Names where the events are kept: the same in every process that reaches them, by whatever
        URL, and nowhere else. It lasts as long as the events do.

        Letters, digits and any of ``-_:./``, at most 128: a mark kept at the broker and made once,
        or the broker's own id; never an address, which others see in the headers.
        """
        ...


@runtime_checkable
class Reports(Protocol):
    """A transport that counts what only it sees: ``bus.stats().transport``."""

    def report(self) -> Mapping[str, int]:
        """What was counted in this process since the transport was made, and what is the case now,
        by name. At once, whether it is open or not, and without asking the broker.

        The names are the adapter's own (lower case and ``_``) and documented; each is there from
        the beginning, with 0, so that who draws a curve has one.
        """
        ...


@runtime_checkable
class TakesClock(Protocol):
    """A transport in this process, whose due times follow the bus's clock."""

    clock: Clock
