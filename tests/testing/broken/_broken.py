"""What the broken transports have in common: a log with one defect, and the tests that catch it."""

from __future__ import annotations

from typing import Any, ClassVar

from busway.testing import PartitionedLog
from busway.testing._cohort import Cohort
from busway.testing._member import LogFeed
from busway.transport import Group

__all__ = ["BrokenLog"]


class BrokenLog(PartitionedLog):
    """One defect. ``caught_by`` names the tests that must fail because of it."""

    caught_by: ClassVar[tuple[str, ...]]
    feed_type: ClassVar[type[LogFeed]] = LogFeed

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)

    def _feed(self, group: Group, cohort: Cohort) -> LogFeed:
        return self.feed_type(group, cohort)
