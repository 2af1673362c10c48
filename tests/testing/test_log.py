"""The partitioned log passes the suite."""

from __future__ import annotations

import pytest

from busway.testing._log import PartitionedLog
from busway.testing._member import LogFeed
from busway.testing.suite import TransportSuite
from busway.transport import Address, Feed, Transport

__all__ = ["TestLog", "TestLogOfOnePartition"]


class TestLog(TransportSuite):
    @pytest.fixture
    def transport(self) -> Transport:
        return PartitionedLog()

    async def abandon(self, transport: Transport, feed: Feed) -> None:
        assert isinstance(transport, PartitionedLog)
        assert isinstance(feed, LogFeed)
        transport.expel(feed)

    async def corrupt(self, transport: Transport, channel: str, data: bytes) -> None:
        assert isinstance(transport, PartitionedLog)
        transport.append(Address(channel), data)


class TestLogOfOnePartition(TestLog):
    @pytest.fixture
    def transport(self) -> Transport:
        return PartitionedLog(partitions=1)
