"""Publishing: one task, a hundred and a thousand tasks, many at once."""

from __future__ import annotations

from functools import partial

from tests.bench.brokers import busway
from tests.bench.brokers.events import keyed
from tests.bench.brokers.table import Aim, compare
from tests.bench.brokers.timing import Run, interleave
from tests.bench.figures import Goal, Section
from tests.bench.kafka import raw
from tests.bench.kafka.place import fresh
from tests.bench.measure import Settings
from tests.servers import KafkaServer

__all__ = ["measure"]

RAW = "aiokafka send_and_wait"
SENT = "aiokafka send, 1,000"
Case = tuple[str, list[Run], tuple[Aim, ...]]


def from_tasks(tasks: int, goal: Goal) -> Case:
    runs = [
        Run(RAW, partial(raw.publish_tasks, tasks=tasks)),
        Run(f"{RAW}, documents", partial(raw.publish_tasks_documents, tasks=tasks)),
        Run(f"{RAW}, 256 KiB", partial(raw.publish_tasks_tuned, tasks=tasks)),
        Run("Busway", partial(busway.publish_tasks, make=keyed, tasks=tasks)),
    ]
    return (
        f"publish, {tasks:,} tasks",
        runs,
        (("Busway", RAW, goal), ("Busway", f"{RAW}, documents", None)),
    )


def cases() -> list[Case]:
    return [
        from_tasks(100, Goal(1.4, at_least=True, floor=1.0)),
        from_tasks(1_000, Goal(4.0, at_least=True, floor=1.0)),
        (
            "publish, many at once",
            [
                Run(SENT, raw.send),
                Run(f"{SENT}, documents", raw.send_documents),
                Run(f"{SENT}, 256 KiB", raw.send_tuned),
                Run("aiokafka send_batch, 1,000", raw.batches),
                Run("Busway publish_many", partial(busway.publish_many, make=keyed)),
            ],
            (
                ("Busway publish_many", SENT, Goal(2.0, at_least=True, floor=1.0)),
                ("Busway publish_many", f"{SENT}, documents", None),
            ),
        ),
        (
            "publish, one task",
            [Run(RAW, raw.publish), Run("Busway", partial(busway.publish, make=keyed))],
            (("Busway", RAW, Goal(0.9, at_least=True, floor=0.7)),),
        ),
    ]


def measure(section: Section, server: KafkaServer, settings: Settings) -> None:
    for what, runs, aims in cases():
        interleave(fresh(server), runs, settings)
        compare(section, what, runs, aims)
