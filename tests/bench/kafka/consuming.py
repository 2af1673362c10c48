"""A topic that is full, and one group that empties it."""

from __future__ import annotations

from functools import partial

from tests.bench.brokers import busway
from tests.bench.brokers.events import keyed
from tests.bench.brokers.table import Aim, compare
from tests.bench.brokers.timing import Go, Run, interleave
from tests.bench.figures import Goal, Section
from tests.bench.kafka import confluent, faststream, raw
from tests.bench.kafka.place import fresh
from tests.bench.measure import Settings
from tests.servers import KafkaServer

__all__ = ["measure"]

RAW = "aiokafka getmany, decoded"
ONE_BY_ONE = "FastStream"
NEAR_RAW = Goal(0.6, at_least=True, floor=0.4)
BY_FAR = Goal(10.0, at_least=True, floor=5.0)
AIMS: tuple[Aim, ...] = (("Busway", RAW, NEAR_RAW), ("Busway", ONE_BY_ONE, BY_FAR))

FETCHES = 20_000
"""Events of a run at least: a broker gives some thousand with each answer."""


def run(contender: str, go: Go, fewest: int = FETCHES) -> Run:
    return Run(contender, go, fewest)


def measure(section: Section, server: KafkaServer, settings: Settings) -> None:
    runs = [
        run(RAW, raw.consume),
        run("aiokafka, decoded, handled", raw.consume_and_call),
        run("confluent-kafka, decoded", confluent.consume),
        run(ONE_BY_ONE, faststream.consume, 2_000),
        run("FastStream, batches of 500", faststream.consume_batches),
        run("Busway", partial(busway.consume, make=keyed)),
        run("Busway, concurrency 100", partial(busway.consume_side_by_side, make=keyed)),
        run("Busway, batches of 500", partial(busway.consume_batches, make=keyed, size=500)),
    ]
    interleave(fresh(server), runs, settings)
    compare(section, "consume, one group", runs, AIMS)
    for codec in ("lz4", "zstd"):
        runs = [run(RAW, raw.consume), run("Busway", partial(busway.consume, make=keyed))]
        interleave(fresh(server, f"&compression={codec}"), runs, settings)
        compare(section, f"consume, {codec}", runs, [("Busway", RAW, NEAR_RAW)])
