"""From a full stream or topic to the last call of a handler, one for each event, at least once."""

from __future__ import annotations

from tests.bench.brokers.table import compare, table
from tests.bench.brokers.timing import Run, interleave
from tests.bench.faststream import busbroker
from tests.bench.figures import Goal, Section
from tests.bench.kafka import faststream as on_kafka
from tests.bench.kafka.place import fresh
from tests.bench.measure import Settings
from tests.bench.redis import faststream as on_redis
from tests.bench.redis.timing import emptying
from tests.servers import KafkaServer, RedisServer

__all__ = ["ends", "kafka", "redis"]

FOUR_TIMES = Goal(4.0, at_least=True)
OURS = "BusBroker"


def ends() -> Section:
    return table(
        "FastStream: end to end",
        "Servers on the loopback interface; an event's data is 256 bytes of JSON and the handler "
        "takes a dict. RedisBroker reads 100 entries at once and acknowledges each; KafkaBroker "
        "commits each after its handler (NACK_ON_ERROR), and beside it in batches before it "
        "(ACK_FIRST), which loses what a crash interrupts.",
    )


def redis(section: Section, server: RedisServer, settings: Settings) -> None:
    theirs = "RedisBroker, streams"
    runs = [Run(theirs, on_redis.consume), Run(OURS, busbroker.consume)]
    interleave(emptying(server), runs, settings)
    compare(section, "Redis Streams", runs, [(OURS, theirs, FOUR_TIMES)])


def kafka(section: Section, server: KafkaServer, settings: Settings) -> None:
    theirs = "KafkaBroker"
    runs = [
        Run(theirs, on_kafka.consume_surely, 500),
        Run("KafkaBroker, ACK_FIRST", on_kafka.consume, 2_000),
        Run(OURS, busbroker.consume_keyed, 20_000),
    ]
    interleave(fresh(server), runs, settings)
    compare(section, "Kafka", runs, [(OURS, theirs, FOUR_TIMES)])
