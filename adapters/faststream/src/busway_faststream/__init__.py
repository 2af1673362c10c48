"""Busway in FastStream apps: the bus beside their brokers, and as a broker of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._bridge import Bridge, bridge
from ._conversation import BusMiddleware, correlation_id
from ._dependency import BusDep
from ._mirror import MirrorToBus

if TYPE_CHECKING:
    from .broker import BusBroker as BusBroker
    from .broker import BusMessage as BusMessage
    from .broker import BusResponse as BusResponse
    from .broker import BusRoute as BusRoute
    from .broker import BusRoutePublisher as BusRoutePublisher
    from .broker import BusRouter as BusRouter
    from .broker import MessageDep as MessageDep
    from .broker import TestBusBroker as TestBusBroker

__all__ = [
    "Bridge",
    "BusDep",
    "BusMiddleware",
    "MirrorToBus",
    "bridge",
    "correlation_id",
]


def __getattr__(name: str) -> Any:
    """The broker needs a FastStream that it was tested with, and what else is here does not: it is
    imported when it is asked for, and says then what to install."""
    from ._lazy import from_broker

    return from_broker(__name__, name)
