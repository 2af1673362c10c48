"""The suite over the partitioned log, with the hooks that a log in this process allows."""

from __future__ import annotations

import pytest

from busway.testing import BusSuite, PartitionedLog, TransportSuite
from busway.testing.suite import SuiteBase
from busway.transport import Address, Feed, Transport

__all__ = ["LogBusSuite", "LogHooks", "LogSuite"]


class LogHooks(SuiteBase):
    @pytest.fixture
    def transport(self) -> Transport:
        return PartitionedLog()

    async def abandon(self, transport: Transport, feed: Feed) -> None:
        assert isinstance(transport, PartitionedLog)
        transport.expel(feed)

    async def corrupt(self, transport: Transport, channel: str, data: bytes) -> None:
        assert isinstance(transport, PartitionedLog)
        transport.append(Address(channel), data)


class LogSuite(LogHooks, TransportSuite):
    pass


class LogBusSuite(LogHooks, BusSuite):
    pass
