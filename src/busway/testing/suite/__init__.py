"""The conformance suite: what a transport must do, as tests. See ``TransportSuite``."""

from __future__ import annotations

from ._base import SuiteBase
from ._driver import Driver, Ear, value, values
from ._town import Seen, Town
from .acking import Acking, Releasing
from .bus_living import Living, Sharing
from .bus_ordering import Ordering, Room
from .bus_retrying import Retrying, SettingAside
from .bus_rewinding import RewindingGroups
from .deadlines import Deadlines
from .feed_powers import FeedPowers
from .fences import Fences
from .fidelity import Fidelity
from .groups import Groups
from .handing_over import HandingOver
from .lifecycle import Crowd, Lifecycle
from .live import LivePower
from .local_powers import LocalPowers
from .many import Many
from .members import Members
from .power_deadlines import PowerDeadlines
from .powers import Powers
from .receiving import Receiving
from .rewinding import Rewinding
from .sending import Sending
from .starts import Starts

__all__ = [
    "BusSuite",
    "Driver",
    "Ear",
    "Seen",
    "SuiteBase",
    "Town",
    "TransportSuite",
    "value",
    "values",
]


class TransportSuite(
    Sending,
    Fidelity,
    Receiving,
    Acking,
    Releasing,
    Many,
    Groups,
    Members,
    Fences,
    Starts,
    Lifecycle,
    Crowd,
    FeedPowers,
    HandingOver,
    Powers,
    Rewinding,
    LocalPowers,
    LivePower,
    Deadlines,
    PowerDeadlines,
):
    """Every sentence of ``busway.transport`` as a test of the same name.

    Subclass it in a test module and override one fixture:

    ```python
    import pytest

    from busway.memory import MemoryTransport
    from busway.testing import TransportSuite

    class TestMine(TransportSuite):
        @pytest.fixture
        def transport(self):
            return MemoryTransport()
    ```

    The fixture gives a transport that is **not entered**. What only you can do with your broker
    (let a member die, put foreign bytes in a channel, take the broker away, make it say nothing)
    are the hooks ``abandon``, ``corrupt``, ``outage`` and ``stalled``; what your broker cannot keep
    at all are the flags ``counts_deliveries``, ``keeps_history`` and ``keeps_when_closed``. A test
    that needs a hook, a flag or an optional power that you do not have is skipped, with its name as
    the reason; of a transport that is ``Live``, whatever has to be kept.

    The tests run on the event loops that the fixture ``anyio_backend`` names.
    """


class BusSuite(Retrying, SettingAside, Ordering, Room, Sharing, Living, RewindingGroups):
    """What the bus promises, driven over a transport from outside: retries, dead letters, order,
    room, processes that come and go, and groups that are rewound.

    Subclass it beside ``TransportSuite``, with the same fixture and the same hooks: best by putting
    those in one class that both inherit.
    """
