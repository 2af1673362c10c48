"""``memory://`` passes the suite, in each of the ways it can be set up."""

from __future__ import annotations

import anyio
import pytest

from busway.memory import MemoryTransport
from busway.testing import BusSuite, TransportSuite
from busway.transport import Feed, SystemClock, Transport

__all__ = [
    "TestBusOverMemory",
    "TestBusOverMemoryWithLeasesAndHistory",
    "TestMemory",
    "TestMemoryThatEncodes",
    "TestMemoryWithHistory",
    "TestMemoryWithLeases",
]


class TestMemory(TransportSuite):
    keeps_history = False

    @pytest.fixture
    def transport(self) -> Transport:
        return MemoryTransport()


class TestMemoryWithHistory(TransportSuite):
    @pytest.fixture
    def transport(self) -> Transport:
        return MemoryTransport(history=10_000)


class TestMemoryThatEncodes(TransportSuite):
    keeps_history = False

    @pytest.fixture
    def transport(self) -> Transport:
        return MemoryTransport(codec="json")


class TestMemoryWithLeases(TransportSuite):
    """The dead hold what they have until their lease runs out."""

    keeps_history = False
    lease = 0.5

    @pytest.fixture
    def transport(self) -> Transport:
        return MemoryTransport(lease=self.lease, clock=_Ahead())

    async def abandon(self, transport: Transport, feed: Feed) -> None:
        assert isinstance(transport, MemoryTransport)
        assert isinstance(transport.clock, _Ahead)
        transport.clock.seconds += self.lease


class TestBusOverMemory(BusSuite):
    keeps_history = False

    @pytest.fixture
    def transport(self) -> Transport:
        return MemoryTransport()


class TestBusOverMemoryWithLeasesAndHistory(BusSuite):
    @pytest.fixture
    def transport(self) -> Transport:
        return MemoryTransport(lease=0.5, history=10_000)


class _Ahead(SystemClock):
    """A clock that can be put forward. Who waits already does not notice, only who looks again."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0

    def time(self) -> float:
        return super().time() + self.seconds

    async def wait(self, event: anyio.Event, until: float | None, /) -> bool:
        return await super().wait(event, None if until is None else until - self.seconds)
