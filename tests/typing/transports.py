"""The transports of the adapters are what a bus takes, for every type checker."""

from __future__ import annotations

from busway import Bus
from busway_kafka import KafkaTransport
from busway_redis import RedisTransport

__all__ = ["given"]


def given(kafka: KafkaTransport, redis: RedisTransport) -> list[Bus]:
    return [Bus(kafka, service="shop"), Bus(redis, service="shop")]
