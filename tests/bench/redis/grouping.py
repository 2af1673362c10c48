"""Ten groups on one stream, all in one process."""

from __future__ import annotations

from tests.bench.brokers import busway
from tests.bench.brokers.table import compare
from tests.bench.brokers.timing import Run, interleave
from tests.bench.figures import Section
from tests.bench.measure import Settings
from tests.bench.redis import raw
from tests.bench.redis.timing import emptying
from tests.servers import RedisServer

__all__ = ["measure"]

MANY = 10
FEWEST = 50_000
"""Deliveries: no group may be done before the last has begun."""


def measure(section: Section, server: RedisServer, settings: Settings) -> None:
    runs = [
        Run("redis-py, ten loops", lambda url, count: raw.groups(url, max(count, FEWEST), MANY)),
        Run("Busway", lambda url, count: busway.groups(url, max(count, FEWEST), MANY)),
    ]
    interleave(emptying(server), runs, settings)
    compare(section, "consume, ten groups: each delivery", runs, ())
