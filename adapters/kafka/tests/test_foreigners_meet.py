"""Other programs and the bus on one topic: keys meet, and each reads what the other writes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event

from busway import Bus, Envelope
from busway_kafka import open_kafka

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 30.0
DOCUMENT = '{"specversion":"1.0","id":"%s","source":"legacy","type":"%s","data":1}'
PLAIN = [("content-type", b"application/cloudevents+json")]


def server_of(url: str) -> str:
    return open_kafka(url).options.servers[0]


async def read(url: str, topic: str, many: int) -> list[Any]:
    """By a plain client, which knows nothing of us."""
    found: list[Any] = []
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=server_of(url), auto_offset_reset="earliest"
    )
    with anyio.fail_after(PATIENCE):
        async with consumer:
            while len(found) < many:
                found.append(await consumer.getone())
    return found


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_the_library_of_cloudevents_reads_what_lies_in_kafka(
    kafka_url: str, mode: str
) -> None:
    prefix = f"t{uuid.uuid4().hex[:8]}."
    with anyio.fail_after(PATIENCE):
        async with Bus(f"{kafka_url}?prefix={prefix}&mode={mode}", service="shop") as bus:
            sent = await bus.publish("order.placed", {"total": 9.5}, key="k")
    (record,) = await read(kafka_url, f"{prefix}order", 1)
    event = from_kafka_event(KafkaMessage(dict(record.headers), record.key, record.value))
    assert event.get_id() == sent.id
    assert event.get_type() == "order.placed"
    assert event.get_subject() == "k"
    assert event.get_data() == {"total": 9.5}


async def test_a_key_meets_itself_whoever_wrote_it_and_in_order(kafka_url: str) -> None:
    """A plain producer of Python hashes as Java's does."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    url = f"{kafka_url}?prefix={prefix}&partitions=12"
    seen: list[Envelope] = []
    bus = Bus(url, service="shop")

    @bus.subscribe("order.*", group="billing", concurrency=8)
    async def charge(order: Any, message: Any) -> None:
        seen.append(message.envelope)

    with anyio.fail_after(PATIENCE):
        async with bus, AIOKafkaProducer(bootstrap_servers=server_of(kafka_url)) as producer:
            for n in range(20):
                await bus.publish("order.placed", 1, key=f"k{n}", id=f"ours-{n}")
                value = (DOCUMENT % (f"theirs-{n}", "order.paid")).encode()
                await producer.send_and_wait(
                    f"{prefix}order", value, key=f"k{n}".encode(), headers=PLAIN
                )
            while len(seen) < 40:
                await anyio.sleep(0.01)
    for n in range(20):
        assert [each.id for each in seen if each.key == f"k{n}"] == [f"ours-{n}", f"theirs-{n}"]
    where: dict[bytes, set[int]] = {}
    for record in await read(kafka_url, f"{prefix}order", 40):
        where.setdefault(record.key, set()).add(record.partition)
    assert all(len(places) == 1 for places in where.values())


async def test_without_a_prefix_wildcards_follow_what_the_regular_expression_says(
    kafka_url: str,
) -> None:
    own = f"x{uuid.uuid4().hex[:8]}"
    topics = [f"{own}-orders", f"{own}-invoices", f"other-{own}"]
    server = server_of(kafka_url)
    admin = AIOKafkaAdminClient(bootstrap_servers=server)
    await admin.start()
    await admin.create_topics([NewTopic(each, 2, 1) for each in topics])
    await admin.close()
    bus = Bus(f"{kafka_url}?prefix=&follow={own}-.*&metadata_age=300ms", service="shop")
    seen: set[str] = set()

    @bus.subscribe("**", group=f"g{own}")
    async def see(envelope: Envelope) -> None:
        seen.add(envelope.id)

    with anyio.fail_after(PATIENCE):
        async with bus, AIOKafkaProducer(bootstrap_servers=server) as producer:
            for topic in reversed(topics):
                value = (DOCUMENT % (topic, "order.placed")).encode()
                await producer.send_and_wait(topic, value, headers=PLAIN)
            while len(seen) < 2:
                await anyio.sleep(0.01)
            await bus.drain()
    assert seen == set(topics[:2])


async def test_a_group_can_begin_at_a_moment(kafka_url: str) -> None:
    url = f"{kafka_url}?prefix=t{uuid.uuid4().hex[:8]}.&partitions=2"
    seen: list[int] = []
    with anyio.fail_after(PATIENCE):
        async with Bus(url, service="shop") as bus:
            for n in range(4):
                await bus.publish("order.placed", n, key=f"k{n}")
            await anyio.sleep(0.01)  # Kafka's time is in milliseconds
            moment = datetime.now(UTC)
            await anyio.sleep(0.01)
            for n in range(4, 8):
                await bus.publish("order.placed", n, key=f"k{n}")

        later = Bus(url, service="shop")

        @later.subscribe("order.*", group="billing", start=moment)
        async def charge(order: int) -> None:
            seen.append(order)

        async with later:
            while len(seen) < 4:
                await anyio.sleep(0.01)
            await later.drain()
    assert sorted(seen) == [4, 5, 6, 7]
