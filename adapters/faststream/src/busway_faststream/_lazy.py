"""The names of the broker, found when they are asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["from_broker"]

_NAMES = {
    "BusBroker",
    "BusMessage",
    "BusResponse",
    "BusRoute",
    "BusRoutePublisher",
    "BusRouter",
    "MessageDep",
    "TestBusBroker",
}


def from_broker(package: str, name: str) -> Any:
    """Raises AttributeError for a name that is none of the broker's, UnsupportedFastStream beside a
    FastStream that the broker was not tested with."""
    if name not in _NAMES:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(import_module(f"{package}.broker"), name)
