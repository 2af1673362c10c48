"""For tests: of applications, and of transports.

For applications: ``capture`` notes what a bus does, ``VirtualClock`` lets hours of backoff pass in
milliseconds, ``Stepped`` and ``drain_once`` go step by step, ``Flaky`` puts into any transport what
can go wrong. pytest finds the fixtures ``bus``, ``captured`` and ``virtual_clock`` by itself.

For transports: ``TransportSuite`` proves a transport right: subclass it with one fixture.
``BusSuite`` proves the bus right over it, with the same fixture. ``PartitionedLog`` is a transport
of Kafka's shape to test against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._capture import Captured as Captured
from ._capture import capture as capture
from ._captured_records import Records as Records
from ._faults import Faults as Faults
from ._faults import Gate as Gate
from ._flaky import Flaky as Flaky
from ._log import PartitionedLog as PartitionedLog
from ._stepped import Stepped as Stepped
from ._stepped import drain_once as drain_once
from ._unsettled import NotSettled as NotSettled
from ._virtual_clock import VirtualClock as VirtualClock

if TYPE_CHECKING:
    from .suite import BusSuite as BusSuite
    from .suite import TransportSuite as TransportSuite

__all__ = [
    "BusSuite",
    "Captured",
    "Faults",
    "Flaky",
    "Gate",
    "NotSettled",
    "PartitionedLog",
    "Records",
    "Stepped",
    "TransportSuite",
    "VirtualClock",
    "capture",
    "drain_once",
]


def __getattr__(name: str) -> Any:
    """The suites need pytest; what else is here does not."""
    if name in ("BusSuite", "TransportSuite"):
        from . import suite

        return getattr(suite, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
