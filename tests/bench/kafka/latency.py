"""From publish to the handler, at a thousand events a second."""

from __future__ import annotations

from tests.bench.brokers import busway
from tests.bench.brokers import latency as latencies
from tests.bench.figures import Section
from tests.bench.kafka import faststream, raw
from tests.bench.kafka.place import fresh
from tests.bench.measure import Settings
from tests.servers import KafkaServer

__all__ = ["measure"]

CONTENDERS: dict[str, latencies.Measured] = {
    "aiokafka": raw.latency,
    "FastStream": faststream.latency,
    "Busway": busway.latency,
}


def measure(section: Section, server: KafkaServer, settings: Settings) -> None:
    latencies.measure(section, fresh(server), CONTENDERS, settings)
