"""The whole suite on one Kafka, with twelve partitions."""

from __future__ import annotations

from busway.testing import BusSuite, TransportSuite

from .kafka_suite import KafkaHooks

__all__: list[str] = []


class TestKafka(KafkaHooks, TransportSuite):
    partitions = 12


class TestKafkaBus(KafkaHooks, BusSuite):
    partitions = 12
