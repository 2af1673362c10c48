"""For tests: of applications, and of transports.

``TransportSuite`` proves a transport right: subclass it with one fixture. ``BusSuite`` proves the
bus right over it, with the same fixture. ``PartitionedLog`` is a
transport of Kafka's shape to test against, and ``Flaky`` puts into any transport what can go wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._faults import Faults as Faults
from ._faults import Gate as Gate
from ._flaky import Flaky as Flaky
from ._log import PartitionedLog as PartitionedLog

if TYPE_CHECKING:
    from .suite import BusSuite as BusSuite
    from .suite import TransportSuite as TransportSuite

__all__ = ["BusSuite", "Faults", "Flaky", "Gate", "PartitionedLog", "TransportSuite"]


def __getattr__(name: str) -> Any:
    """The suites need pytest; what else is here does not."""
    if name in ("BusSuite", "TransportSuite"):
        from . import suite

        return getattr(suite, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
