"""A transport with whatever can go wrong put into it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, Self

from busway.errors import TransportError
from busway.message import Envelope
from busway.transport import (
    Address,
    Announces,
    Browsed,
    Browses,
    Charts,
    Clock,
    Discards,
    Feed,
    Group,
    GroupState,
    Holds,
    Located,
    ManagesGroups,
    NotWritten,
    Outcome,
    Outgoing,
    Port,
    Posts,
    Purpose,
    Reports,
    Rewinds,
    Start,
    TakesClock,
    Transport,
    Unknown,
    Volatile,
)

from ._faults import Broken, Fault, Faults
from ._flaky_feed import FlakyFeed, flaky_feed

__all__ = ["Flaky"]


class Flaky(Faults):
    """Wraps a transport, and fails when it is told to.

    ```python
    from busway import Bus
    from busway.memory import MemoryTransport
    from busway.testing import Flaky

    transport = Flaky(MemoryTransport())
    transport.fail("ack", times=2)
    transport.fail("send", how="unanswered", when=lambda item: item.attempt > 1)
    bus = Bus(transport, service="test")
    ```

    It has the powers of the transport inside, no more and no less, and so have its feeds. Without
    faults it changes nothing.
    """

    def __new__(cls, inner: Transport) -> Self:
        # A power is seen by isinstance: the wrapper's class has to have those of the inner one.
        powers = tuple(each for power, each in _POWERS.items() if isinstance(inner, power))
        own = () if cls is Flaky else (cls,)
        made: Any = type(cls.__name__, (*own, *powers, Flaky), {"__module__": cls.__module__})
        wrapper: Self = super().__new__(made)
        return wrapper

    def __init__(self, inner: Transport) -> None:
        super().__init__()
        self.inner: Any = inner
        """The transport inside, with nothing put into it."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.inner!r}>"

    async def __aenter__(self) -> Self:
        await self.around("connect", self.inner.__aenter__)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.inner.__aexit__(*exc)

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        faults = [self.fault_of("send", item) for item in items]
        for fault in faults:
            if fault is not None:
                await fault.wait()
        carried = [item for item, fault in zip(items, faults, strict=True) if _reaches(fault)]
        written = iter(await self._send(carried, timeout))
        return [_outcome(next(written) if _reaches(fault) else None, fault) for fault in faults]

    async def _send(self, items: Sequence[Outgoing], timeout: float) -> Sequence[Outcome]:
        if not items:
            return []
        try:
            return await self.unbroken("send", lambda: self.inner.send(items, timeout=timeout))
        except Broken as error:
            return [Unknown(error)] * len(items)
        except Exception as error:
            if not self.away and not isinstance(error, TransportError):
                raise
            return [NotWritten(error)] * len(items)

    @asynccontextmanager
    async def listen(self, group: Group, /) -> AsyncGenerator[Feed]:
        entering = self.inner.listen(group)
        feed = await self.around("listen", entering.__aenter__, group)
        try:
            yield self.wrap(feed, group)
        finally:
            await entering.__aexit__(None, None, None)

    def wrap(self, feed: Feed, group: Group) -> Feed:
        """What the group is given for the feed inside."""
        return flaky_feed(self, feed, FlakyFeed)


def _reaches(fault: Fault | None) -> bool:
    """Whether the item is sent."""
    return fault is None or fault.how in (None, "unanswered")


def _outcome(written: Outcome | None, fault: Fault | None) -> Outcome:
    if fault is None or fault.how is None:
        assert written is not None
        return written
    return NotWritten(fault.said()) if fault.how == "refused" else Unknown(fault.said())


# --- one class for each power ------------------------------------------------------------------


class _Holding(Flaky):
    holds: Literal[True] = True


class _Volatile(Flaky):
    volatile: Literal[True] = True


class _Browsing(Flaky):
    async def addresses(self, purpose: Purpose, group: str | None, /) -> Sequence[Address]:
        return await self.around("addresses", lambda: self.inner.addresses(purpose, group))

    async def browse(
        self, address: Address, /, *, after: str | None = None
    ) -> AsyncIterator[Browsed]:
        await self.around("browse", _nothing)
        async for entry in self.inner.browse(address, after=after):
            yield entry


class _Discarding(Flaky):
    async def discard(self, address: Address, position: str, /) -> bool:
        return await self.around("discard", lambda: self.inner.discard(address, position))


class _Rewinding(Flaky):
    async def rewind(self, group: str, to: Start, /) -> None:
        await self.around("rewind", lambda: self.inner.rewind(group, to))


class _Managing(Flaky):
    async def groups(self) -> Sequence[GroupState]:
        return await self.around("groups", self.inner.groups)

    async def remove_group(self, name: str, /) -> bool:
        return await self.around("remove_group", lambda: self.inner.remove_group(name))


class _Announcing(Flaky):
    async def announce(self, group: Group, /) -> Mapping[str, tuple[str, ...]]:
        return await self.around("announce", lambda: self.inner.announce(group), group)


class _Charting(Flaky):
    async def chart(self, channels: Mapping[str, str], /) -> Mapping[str, str]:
        return await self.around("chart", lambda: self.inner.chart(channels))


class _Located(Flaky):
    async def location(self) -> str:
        return await self.around("location", self.inner.location)


class _Reporting(Flaky):
    def report(self) -> Mapping[str, int]:
        found: Mapping[str, int] = self.inner.report()
        return found


class _Posting(Flaky):
    def port(self, topic: str, address: Address, /) -> Port:
        port = self.inner.port(topic, address)

        def post(envelope: Envelope) -> bool:
            # What can go wrong goes wrong in send, where it can be said.
            if not self.faultless("send") or not port(envelope):
                return False
            self.calls["send"] += 1
            return True

        return post


class _Timed(Flaky):
    @property
    def clock(self) -> Clock:
        clock: Clock = self.inner.clock
        return clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self.inner.clock = clock


_POWERS: dict[type, type[Flaky]] = {
    Holds: _Holding,
    Volatile: _Volatile,
    Browses: _Browsing,
    Discards: _Discarding,
    Rewinds: _Rewinding,
    ManagesGroups: _Managing,
    Announces: _Announcing,
    Charts: _Charting,
    Located: _Located,
    Reports: _Reporting,
    Posts: _Posting,
    TakesClock: _Timed,
}


async def _nothing() -> None:
    """The call that only its faults matter of."""
