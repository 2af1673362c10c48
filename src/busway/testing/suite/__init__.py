"""The conformance suite: what a transport must do, as tests. See ``TransportSuite``."""

from __future__ import annotations

from ._driver import Driver, Ear, value, values
from .acking import Acking, Releasing
from .feed_powers import FeedPowers
from .fidelity import Fidelity
from .groups import Groups
from .lifecycle import Crowd, Lifecycle
from .members import Members
from .powers import Powers
from .receiving import Receiving
from .sending import Sending
from .starts import Starts

__all__ = ["Driver", "Ear", "TransportSuite", "value", "values"]


class TransportSuite(
    Sending,
    Fidelity,
    Receiving,
    Acking,
    Releasing,
    Groups,
    Members,
    Starts,
    Lifecycle,
    Crowd,
    FeedPowers,
    Powers,
):
    """Every sentence of ``busway.transport`` as a test of the same name.

    Subclass it in a test module and override one fixture::

        class TestMine(TransportSuite):
            @pytest.fixture
            def transport(self):
                return MyTransport("mine://localhost")

    The fixture gives a transport that is **not entered**. What only you can do with your broker
    (let a member die, put foreign bytes in a channel, take the broker away) are the hooks
    ``abandon``, ``corrupt`` and ``outage``; what your broker cannot keep at all are the flags
    ``counts_deliveries``, ``keeps_history`` and ``keeps_when_closed``. A test that needs a hook, a
    flag or an optional power that you do not have is skipped, with its name as the reason.

    The tests run on the event loops that the fixture ``anyio_backend`` names.
    """
