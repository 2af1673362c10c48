"""A Kafka seen by plain aiokafka, for tests."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

__all__ = ["administering", "make_topic", "producing", "read_topic"]

PATIENCE = 20.0

# It says of itself that it is not typed.
_aiokafka: Any = importlib.import_module("aiokafka")
_admin: Any = importlib.import_module("aiokafka.admin")


@asynccontextmanager
async def producing(servers: str, **options: Any) -> AsyncGenerator[Any]:
    """An AIOKafkaProducer."""
    producer = _aiokafka.AIOKafkaProducer(bootstrap_servers=servers, **options)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def administering(servers: str) -> AsyncGenerator[Any]:
    """An AIOKafkaAdminClient."""
    client = _admin.AIOKafkaAdminClient(bootstrap_servers=servers)
    try:
        await client.start()
        yield client
    finally:
        await client.close()


async def make_topic(
    servers: str, topic: str, partitions: int = 1, copies: int = 1, **configs: str
) -> None:
    """``max_message_bytes=…`` is max.message.bytes."""
    named = {name.replace("_", "."): value for name, value in configs.items()}
    async with administering(servers) as client:
        new = _admin.NewTopic(topic, partitions, copies, topic_configs=named)
        said = await client.create_topics([new])
        errors = [each for each in said.topic_errors if each[1]]
        assert not errors, errors


async def read_topic(servers: str, topic: str, many: int, **options: Any) -> Sequence[Any]:
    """The first so many records of a topic."""
    consumer = _aiokafka.AIOKafkaConsumer(
        topic, bootstrap_servers=servers, auto_offset_reset="earliest", **options
    )
    try:
        await consumer.start()
        async with asyncio.timeout(PATIENCE):
            return [await consumer.getone() for _ in range(many)]
    finally:
        await consumer.stop()
