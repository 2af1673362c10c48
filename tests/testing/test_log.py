"""The partitioned log passes the suite, and does what only a log does."""

from __future__ import annotations

import pytest

from busway.testing import PartitionedLog
from busway.transport import Transport
from tests.testing.log_suite import LogSuite

__all__ = ["TestLog", "TestLogOfOnePartition"]


class TestLog(LogSuite):
    pass


class TestLogOfOnePartition(LogSuite):
    @pytest.fixture
    def transport(self) -> Transport:
        return PartitionedLog(partitions=1)
