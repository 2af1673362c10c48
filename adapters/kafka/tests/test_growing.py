"""Partitions that are added to a topic are used by whoever publishes, and read by whoever reads."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from busway import Backoff, Bus, Message, Retry
from busway_kafka import KafkaTransport, open_kafka
from busway_kafka._murmur import partition_of
from busway_kafka._reading import ends_of

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 30.0


def opened(url: str, **own: Any) -> KafkaTransport:
    own = {"prefix": f"t{uuid.uuid4().hex[:8]}.", "partitions": 1, "metadata_age": "300ms"} | own
    return open_kafka(url, **own)


async def grown(transport: KafkaTransport, topic: str, width: int) -> None:
    """As an operator does it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=transport.options.servers[0])
    await admin.start()
    await admin.create_partitions({topic: NewPartitions(width)})
    await admin.close()


async def filled(transport: KafkaTransport, topic: str) -> Sequence[int]:
    """The partitions in which something lies."""
    async with open_kafka(transport.options.where, prefix="looking.") as looking:
        ends = await ends_of(looking.client, [topic])
    return [number for (_, number), end in sorted(ends.items()) if end]


async def test_who_only_publishes_writes_to_partitions_that_were_added(kafka_url: str) -> None:
    transport = opened(kafka_url)
    topic = f"{transport.options.prefix}order"
    key = next(f"k{n}" for n in range(99) if partition_of(b"k%d" % n, 4) == 3)
    with anyio.fail_after(PATIENCE):
        async with Bus(transport, service="shop", publish_only=True) as bus:
            await bus.publish("order.placed", 1, key=key)
            await grown(transport, topic, 4)
            while transport.client.partitions(topic) < 4:
                await anyio.sleep(0.01)
            await bus.publish("order.placed", 2, key=key)
            assert await filled(transport, topic) == [0, 3]


async def test_who_publishes_does_not_wait_for_what_there_is(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = opened(kafka_url, metadata_age="10ms")
    asked = anyio.Event()

    async def refresh() -> None:
        asked.set()
        await anyio.sleep_forever()

    with anyio.fail_after(PATIENCE):
        async with Bus(transport, service="shop", publish_only=True) as bus:
            await bus.publish("order.placed", 1, key="k")
            monkeypatch.setattr(transport.client, "refresh", refresh)
            await asked.wait()
            await bus.publish("order.placed", 2, key="k")


async def test_what_lies_in_partitions_that_were_added_is_read_from_its_beginning(
    kafka_url: str,
) -> None:
    transport = opened(kafka_url)
    topic = f"{transport.options.prefix}order"
    seen: list[int] = []
    bus = Bus(transport, service="shop")

    @bus.subscribe("order.*", group="billing")
    async def charge(order: int) -> None:
        seen.append(order)

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("order.placed", 0, key="k")
            await grown(transport, topic, 4)
            while transport.client.partitions(topic) < 4:
                await anyio.sleep(0.01)
            for n in range(1, 20):
                await bus.publish("order.placed", n, key=f"k{n}")
            while len(set(seen)) < 20:
                await anyio.sleep(0.01)
            assert len(await filled(transport, topic)) == 4


async def test_what_fails_in_a_partition_that_was_added_is_tried_again(kafka_url: str) -> None:
    """Its retry topic was made when its channel was narrow."""
    transport = opened(kafka_url)
    topic, tried = f"{transport.options.prefix}order", list[tuple[int, int]]()
    soon = Retry(attempts=3, in_place=0.0, backoff=Backoff(first=0.05, cap=0.05, jitter="none"))
    bus = Bus(transport, service="shop", retry=soon)

    @bus.subscribe("order.*", group="billing", concurrency=4)
    async def charge(order: int, message: Message[int]) -> None:
        tried.append((order, message.attempt))
        if message.attempt < 2:
            raise ValueError("once")

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("order.placed", 0, key="k")
            while (0, 2) not in tried:
                await anyio.sleep(0.01)
            await grown(transport, topic, 8)
            while transport.client.partitions(topic) < 8:
                await anyio.sleep(0.01)
            key = next(f"k{n}" for n in range(99) if partition_of(b"k%d" % n, 8) == 6)
            await bus.publish("order.placed", 6, key=key)
            while (6, 2) not in tried:
                await anyio.sleep(0.01)
