"""From publish to the handler, at a thousand events a second."""

from __future__ import annotations

from tests.bench.brokers import busway
from tests.bench.brokers import latency as latencies
from tests.bench.figures import Section
from tests.bench.measure import Settings
from tests.bench.redis import faststream, raw
from tests.bench.redis.timing import emptying
from tests.servers import RedisServer

__all__ = ["measure"]

CONTENDERS: dict[str, latencies.Measured] = {
    "redis-py, blocking": raw.latency,
    "FastStream": faststream.latency,
    "Busway": busway.latency,
}


def measure(section: Section, server: RedisServer, settings: Settings) -> None:
    latencies.measure(section, emptying(server), CONTENDERS, settings)
