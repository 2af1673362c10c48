"""Kafka, beside the raw clients and FastStream: one table from one run."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from typing import Any

from tests.bench.figures import Section
from tests.bench.kafka.table import table
from tests.bench.measure import Settings
from tests.servers import KafkaServer, NoServer

__all__ = ["measure"]

SHORT: dict[str, Any] = {"repeats": 1}
PARTS = ("consuming", "publishing", "latency", "rebalancing", "memory")


def measure(settings: Settings) -> Iterable[Section]:
    section = table()
    # One by one they take longer than elsewhere, because each begins with a group of its own.
    settings = replace(settings, **SHORT if settings.short else {"seconds": 2 * settings.seconds})
    # Each new topic is news to aiokafka.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        with KafkaServer() as server:
            for part in PARTS:
                import_module(f"tests.bench.kafka.{part}").measure(section, server, settings)
    except NoServer as error:
        section.note = f"NOT MEASURED: {error}"
    yield section
