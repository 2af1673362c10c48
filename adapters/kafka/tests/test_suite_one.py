"""The whole suite on one Kafka, with one partition."""

from __future__ import annotations

from busway.testing import BusSuite, TransportSuite

from .kafka_suite import KafkaHooks

__all__: list[str] = []


class TestOnePartition(KafkaHooks, TransportSuite):
    partitions = 1


class TestOnePartitionBus(KafkaHooks, BusSuite):
    partitions = 1
