"""Publishing: one task, a hundred tasks, many at once."""

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

ALONE: tuple[Aim, ...] = (("Busway", "redis-py", Goal(0.9, at_least=True, floor=0.7)),)
TASKS: tuple[Aim, ...] = (
    ("Busway", "redis-py", Goal(3.0, at_least=True, floor=2.0)),
    ("Busway", "FastStream", Goal(5.0, at_least=True, floor=3.0)),
)
PIPED = "redis-py pipeline(100)"
MANY: tuple[Aim, ...] = (("Busway publish_many", PIPED, Goal(1.5, at_least=True, floor=1.0)),)


def measure(section: Section, server: RedisServer, settings: Settings) -> None:
    cases = [
        (
            "publish, 100 tasks",
            TASKS,
            [
                Run("redis-py", raw.publish_tasks),
                Run("FastStream", faststream.publish_tasks),
                Run("Busway", busway.publish_tasks),
            ],
        ),
        (
            "publish, one task",
            ALONE,
            [
                Run("redis-py", raw.publish),
                Run("FastStream", faststream.publish),
                Run("Busway", busway.publish),
            ],
        ),
        (
            "publish, many at once",
            MANY,
            [
                Run(PIPED, raw.pipeline),
                Run("FastStream pipeline(100)", faststream.pipeline),
                Run("Busway publish_many", busway.publish_many),
            ],
        ),
    ]
    for what, aims, runs in cases:
        interleave(emptying(server), runs, settings)
        compare(section, what, runs, aims)
