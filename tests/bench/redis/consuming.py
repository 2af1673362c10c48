"""A stream that is full, and one group that empties it."""

from __future__ import annotations

from tests.bench.brokers import busway
from tests.bench.brokers.table import Aim, compare
from tests.bench.brokers.timing import Run, interleave
from tests.bench.figures import Goal, Section
from tests.bench.measure import Settings
from tests.bench.redis import faststream, raw
from tests.bench.redis.timing import emptying
from tests.servers import RedisServer

__all__ = ["measure"]

RAW = "redis-py, 100 + XACK"
ONE_BY_ONE = "FastStream, 100"
AS_RAW = Goal(1.0, at_least=True, floor=0.8)
BY_FAR = Goal(20.0, at_least=True, floor=10.0)
AIMS: tuple[Aim, ...] = (
    ("Busway, 100", RAW, AS_RAW),
    ("Busway, 100", ONE_BY_ONE, BY_FAR),
    ("Busway", RAW, AS_RAW),
    ("Busway", ONE_BY_ONE, BY_FAR),
)


def measure(section: Section, server: RedisServer, settings: Settings) -> None:
    runs = [
        Run(RAW, raw.consume),
        Run("redis-py, RESP2, no timeout", raw.consume_tuned),
        Run("redis-py, decoded, handled", raw.consume_and_call),
        Run(ONE_BY_ONE, faststream.consume),
        Run("FastStream, batches of 100", faststream.consume_batches),
        Run("Busway, 100", busway.consume_by_hundreds),
        Run("Busway", busway.consume),
        Run("Busway, batches of 100", busway.consume_batches),
    ]
    interleave(emptying(server), runs, settings)
    compare(section, "consume, one group", runs, AIMS)
