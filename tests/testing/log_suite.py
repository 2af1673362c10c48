"""The suite over the partitioned log, with the hooks that a log in this process allows."""

from __future__ import annotations

import pytest

from busway.testing import PartitionedLog, TransportSuite
from busway.transport import Address, Feed, Transport

__all__ = ["LogSuite"]


class LogSuite(TransportSuite):
    @pytest.fixture
    def transport(self) -> Transport:
        return PartitionedLog()

    async def abandon(self, transport: Transport, feed: Feed) -> None:
        assert isinstance(transport, PartitionedLog)
        transport.expel(feed)

    async def corrupt(self, transport: Transport, channel: str, data: bytes) -> None:
        assert isinstance(transport, PartitionedLog)
        transport.append(Address(channel), data)
