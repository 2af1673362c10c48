"""The bus keeps its promises over the partitioned log."""

from __future__ import annotations

from tests.testing.log_suite import LogBusSuite

__all__ = ["TestBusOverLog"]


class TestBusOverLog(LogBusSuite):
    pass
