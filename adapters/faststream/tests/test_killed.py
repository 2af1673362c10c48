"""A bridge that is killed, with kill -9, in the middle of its work: nothing is lost."""

from __future__ import annotations

import asyncio
import json

import pytest
from faststream.redis import BinaryMessageFormatV1

from busway import Bus

from .helping import fresh_topic, kafka_servers
from .world import World

__all__: list[str] = []

REDIS_TO_BUS = """
import os
from faststream import AckPolicy, FastStream
from faststream.redis import RedisBroker, StreamSub
from busway import Bus
from busway_faststream import bridge

URL, NAME = os.environ["URL"], os.environ["NAME"]
bus = Bus(f"{URL}?prefix={NAME}", service="shop")
broker = RedisBroker(URL)
bridge(broker, bus, to_bus={NAME: "order.placed"})
me = {"group": "busway", "consumer": str(os.getpid())}

@broker.subscriber(
    stream=StreamSub(NAME, batch=True, max_records=100, **me), ack_policy=AckPolicy.NACK_ON_ERROR
)
@broker.subscriber(
    stream=StreamSub(NAME, batch=True, min_idle_time=300, **me), ack_policy=AckPolicy.NACK_ON_ERROR
)
async def carried(orders: list[int]) -> None: ...

app = FastStream(broker, lifespan=bus.lifespan)
"""

KAFKA_TO_BUS = """
import os
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from busway import Bus
from busway_faststream import bridge

URL, NAME = os.environ["URL"], os.environ["NAME"]
bus = Bus(f"{URL}?prefix={NAME}", service="shop")
broker = KafkaBroker(os.environ["SERVERS"])
bridge(broker, bus, to_bus={os.environ["TOPIC"]: "order.placed"})

@broker.subscriber(
    os.environ["TOPIC"],
    group_id=NAME,
    auto_offset_reset="earliest",
    session_timeout_ms=6000,
    ack_policy=AckPolicy.NACK_ON_ERROR,
)
async def carried(order: int) -> None: ...

app = FastStream(broker, lifespan=bus.lifespan)
"""

BUS_TO_REDIS = """
import os
from faststream import FastStream
from faststream.redis import RedisBroker
from busway import Bus
from busway_faststream import bridge

URL, NAME = os.environ["URL"], os.environ["NAME"]
bus = Bus(f"{URL}?prefix={NAME}&lease=2s", service="shop")
broker = RedisBroker(URL)
bridge(broker, bus, from_bus={"order.*": broker.publisher(stream=NAME)})
app = FastStream(broker, lifespan=bus.lifespan)
"""

MANY = 250
BATCHED = 4000
"""What is carried in batches is carried quickly."""


def on_the_bus(world: World) -> list[int]:
    """The orders in the bus's stream."""
    entries = world.client.xrange(f"{world.name}:{{order}}")
    return [json.loads(fields["event"])["data"] for _, fields in entries]  # type: ignore[union-attr]


def in_the_stream(world: World) -> list[int]:
    """The orders in FastStream's stream."""
    entries = world.raw.xrange(world.name)
    bodies = [BinaryMessageFormatV1.parse(fields[b"__data__"])[0] for _, fields in entries]  # type: ignore[union-attr]
    return [json.loads(body) for body in bodies]


@pytest.mark.timeout(180)
def test_what_a_killed_bridge_had_from_redis_the_next_one_carries(world: World) -> None:
    world.file("carrier.py", REDIS_TO_BUS)
    world.client.xgroup_create(world.name, "busway", id="0", mkstream=True)
    world.publish(*range(BATCHED))
    for kill in range(1, 4):
        with world.running("faststream", "run", "carrier:app") as process:
            world.until(lambda kill=kill: len(on_the_bus(world)) > kill * 150, "some are carried")
            process.kill()
            process.wait()
    assert len(on_the_bus(world)) < BATCHED, "it was killed in the middle"
    with world.running("faststream", "run", "carrier:app") as process:
        world.until(lambda: set(on_the_bus(world)) == set(range(BATCHED)), "all are carried")
        world.until(
            lambda: world.client.xpending(world.name, "busway")["pending"] == 0,  # type: ignore[index]
            "all are acknowledged",
        )
        world.ends_well(process)


@pytest.mark.timeout(180)
def test_what_a_killed_bridge_had_from_kafka_the_next_one_carries(
    world: World, kafka_url: str
) -> None:
    world.file("carrier.py", KAFKA_TO_BUS)
    servers = kafka_servers(kafka_url)
    topic = asyncio.run(_filled(servers))
    world.environment |= {"SERVERS": servers, "TOPIC": topic}
    with world.running("faststream", "run", "carrier:app") as process:
        world.until(lambda: len(on_the_bus(world)) > 40, "some are carried")
        process.kill()
        process.wait()
    assert len(on_the_bus(world)) < MANY, "it was killed in the middle"
    with world.running("faststream", "run", "carrier:app") as process:
        world.until(lambda: set(on_the_bus(world)) == set(range(MANY)), "all are carried")
        world.ends_well(process)


async def _filled(servers: str) -> str:
    from faststream.kafka import KafkaBroker

    topic = await fresh_topic(servers, "orders")
    async with KafkaBroker(servers, logger=None) as broker:
        for number in range(MANY):
            await broker.publish(number, topic)
    return topic


@pytest.mark.timeout(180)
def test_what_a_killed_bridge_had_from_the_bus_the_next_one_sends(world: World) -> None:
    world.file("carrier.py", BUS_TO_REDIS)
    with world.running("faststream", "run", "carrier:app") as process:
        world.until(lambda: "started successfully" in world.log.read_text(), "it is up")
        world.ends_well(process)
    asyncio.run(_published(f"{world.environment['URL']}?prefix={world.name}"))
    for kill in range(1, 3):
        with world.running("faststream", "run", "carrier:app") as process:
            world.until(lambda kill=kill: len(in_the_stream(world)) > kill * 40, "some are sent")
            process.kill()
            process.wait()
    with world.running("faststream", "run", "carrier:app") as process:
        world.until(lambda: set(in_the_stream(world)) == set(range(MANY)), "all are sent")
        world.ends_well(process)


async def _published(url: str) -> None:
    async with Bus(url, service="shop", publish_only=True) as bus:
        for number in range(MANY):
            await bus.publish("order.paid", number, key=str(number % 7))
