"""For tests: of applications, and of transports.

``TransportSuite`` proves a transport right: subclass it with one fixture. ``PartitionedLog`` is a
transport of Kafka's shape to test against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._log import PartitionedLog as PartitionedLog

if TYPE_CHECKING:
    from .suite import TransportSuite as TransportSuite

__all__ = ["PartitionedLog", "TransportSuite"]


def __getattr__(name: str) -> Any:
    """The suite needs pytest; what else is here does not."""
    if name == "TransportSuite":
        from .suite import TransportSuite

        return TransportSuite
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
