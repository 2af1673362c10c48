"""The bus as a broker of FastStream's. ``from busway_faststream import BusBroker`` finds it, too.

Importing this beside a FastStream that it was not tested with raises ``UnsupportedFastStream``.
"""

from __future__ import annotations

from ._supported import VERSION as VERSION

# isort: split
from ._broker import BusBroker as BusBroker
from ._command import BusPublishCommand as BusPublishCommand
from ._command import BusResponse as BusResponse
from ._message import BusBatchMessage as BusBatchMessage
from ._message import BusMessage as BusMessage
from ._message import MessageDep as MessageDep
from ._outcome import Undecided as Undecided
from ._publisher import BusPublisher as BusPublisher
from ._router import BusRoute as BusRoute
from ._router import BusRoutePublisher as BusRoutePublisher
from ._router import BusRouter as BusRouter
from ._subscriber import BusSubscriber as BusSubscriber
from ._testing import TestBusBroker as TestBusBroker
from ._versions import UnsupportedFastStream as UnsupportedFastStream

__all__ = [
    "BusBatchMessage",
    "BusBroker",
    "BusMessage",
    "BusPublishCommand",
    "BusPublisher",
    "BusResponse",
    "BusRoute",
    "BusRoutePublisher",
    "BusRouter",
    "BusSubscriber",
    "MessageDep",
    "TestBusBroker",
    "Undecided",
    "UnsupportedFastStream",
]
