"""What the transport counts, ``bus.stats().transport``, and how far it is in each partition."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from ._feed import KafkaFeed
from ._tenure import Tenure

__all__ = ["Numbers", "PartitionState", "partitions_of"]


class PartitionState(msgspec.Struct, frozen=True):
    """A partition that a group of this process has, now."""

    group: str
    topic: str
    partition: int
    fence: int
    """Of its events: ``message.fence``."""
    lag: int
    """Records that wait to be handed out, as far as the broker has told."""
    in_flight: int
    """Deliveries that are handed out, and not acknowledged."""
    held: int
    """Records that are here and not due yet."""
    committed: int
    """The offset that the broker has: everything below it is done."""
    distance: int
    """Offsets between that and what is handed out next. ``?window=`` is the most."""


class Numbers:
    """Of feeds that are open, and of those that were."""

    def __init__(self, producer: Callable[[], Mapping[str, int]]) -> None:
        """``producer`` tells what it has counted by itself."""
        self._producer = producer
        self._rebalances = self._lost = self._ghosts = self._refused = self._rebuilt = 0

    def closed(self, feed: KafkaFeed) -> None:
        """What it counted is not forgotten."""
        self._rebalances += feed.membership.rebalances
        self._lost += feed.lost
        self._ghosts += feed.fetcher.ghosts
        self._refused += feed.committer.refused
        self._rebuilt += feed.watchdog.rebuilt

    def now(self, feeds: Iterable[KafkaFeed]) -> dict[str, int]:
        """All of them, by the names in the reference."""
        feeds = list(feeds)
        states = [state for feed in feeds for state in partitions_of(feed)]
        return {
            **self._producer(),
            "commit_age_ms": _milliseconds(feed.committer.behind for feed in feeds),
            "distance": max((state.distance for state in states), default=0),
            "ghosts": self._ghosts + sum(feed.fetcher.ghosts for feed in feeds),
            "lag": sum(state.lag for state in states),
            "lost_leases": self._lost + sum(feed.lost for feed in feeds),
            "partitions": len(states),
            "poll_age_ms": _milliseconds(_poll_age(feed) for feed in feeds),
            "rebalances": self._rebalances + sum(feed.membership.rebalances for feed in feeds),
            "rebuilt": self._rebuilt + sum(feed.watchdog.rebuilt for feed in feeds),
            "refused_commits": self._refused + sum(feed.committer.refused for feed in feeds),
        }


def partitions_of(feed: KafkaFeed) -> list[PartitionState]:
    """In the order of their names and numbers."""
    tenures = sorted(feed.holdings.tenures.values(), key=lambda each: (each.topic, each.number))
    return [_state(feed.group.name, tenure) for tenure in tenures]


def _state(group: str, tenure: Tenure) -> PartitionState:
    head = tenure.fetched[0].offset if tenure.fetched else tenure.next
    return PartitionState(
        group,
        tenure.topic,
        tenure.number,
        tenure.fence,
        tenure.lag,
        tenure.lent,
        tenure.held,
        tenure.committed,
        max(0, head - tenure.committed),
    )


def _poll_age(feed: KafkaFeed) -> float:
    """Who has no partition has nothing to ask for."""
    return time.monotonic() - feed.fetcher.answered if feed.holdings.tenures else 0.0


def _milliseconds(seconds: Iterable[float]) -> int:
    return int(max(seconds, default=0.0) * 1000)
