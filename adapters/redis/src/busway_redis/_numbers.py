"""What the transport counts: ``bus.stats().transport``."""

from __future__ import annotations

from collections.abc import Iterable

from ._feed import RedisFeed
from ._publishing import Publishing
from ._retention import Retention
from ._topology import Topology

__all__ = ["Numbers"]


class Numbers:
    """Of feeds that are open, and of those that were."""

    def __init__(self, topology: Topology, publishing: Publishing, retention: Retention) -> None:
        self._topology = topology
        self._publishing = publishing
        self._retention = retention
        self._ghosts = self._lost_ahead = self._connections = 0

    def closed(self, feed: RedisFeed) -> None:
        """What it counted is not forgotten."""
        self._ghosts += feed.ghosts
        self._lost_ahead += feed.lost_in_wait
        self._connections += feed.listening.connections

    def now(self, feeds: Iterable[RedisFeed]) -> dict[str, int]:
        """``connections``: made since the transport was opened; it grows with each reconnect.
        ``fetched_ahead``: deliveries read and not handed out, now. ``lost_ahead``: such whose lease
        ended first; they came to somebody else. ``ghosts``: entries that were removed while they
        were pending. ``trimmed``: handled entries that this process removed. ``full_refused`` and
        ``full_dropped``: events refused, and dropped, for ``max_length``. ``unconfirmed``: events
        that too few replicas had in time. ``resent``: events sent once more, for
        ``on_unknown=resend``."""
        feeds, sending = list(feeds), self._publishing
        capped, confirmed, resending = sending.capped, sending.confirmed, sending.resending
        return {
            "connections": self._connections
            + self._topology.connections
            + sending.connections
            + sum(feed.listening.connections for feed in feeds),
            "fetched_ahead": sum(len(feed.ready) for feed in feeds),
            "full_dropped": 0 if capped is None else capped.dropped,
            "full_refused": 0 if capped is None else capped.refused,
            "ghosts": self._ghosts + sum(feed.ghosts for feed in feeds),
            "lost_ahead": self._lost_ahead + sum(feed.lost_in_wait for feed in feeds),
            "resent": 0 if resending is None else resending.resent,
            "trimmed": self._retention.removed,
            "unconfirmed": 0 if confirmed is None else confirmed.unconfirmed,
        }
