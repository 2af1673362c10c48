"""Events carried between Kafka, Redis and this process, whichever way, whoever is away."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest

from busway import Bus, Envelope, relay
from tests.facts import Seen, up
from tests.servers import KafkaServer

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 60.0
KINDS = ("kafka", "redis", "memory")
Make = Callable[[str], Bus]


@pytest.fixture
def make(kafka_url: str, redis_url: str) -> Make:
    prefix = f"t{uuid.uuid4().hex[:8]}"

    def made(kind: str) -> Bus:
        urls = {
            "kafka": f"{kafka_url}?prefix={prefix}.&metadata_age=300ms&lease=3s",
            "redis": f"{redis_url}?prefix={prefix}&lease=2s",
            "memory": "memory://",
        }
        return Bus(urls[kind], service="shop")

    return made


@asynccontextmanager
async def relaying(*args: Any, group: str) -> AsyncGenerator[None]:
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            await tasks.start(partial(relay, *args, group=group))
            yield
            tasks.cancel_scope.cancel()


def seeing(bus: Bus, pattern: str = "**") -> Seen:
    seen = Seen()

    async def see(envelope: Envelope) -> None:
        seen.add(envelope)

    bus.add(see, pattern, group="see")
    return seen


@pytest.mark.parametrize(("source", "target"), [*itertools.permutations(KINDS, 2)])
async def test_what_is_published_here_arrives_there_as_it_was_and_in_order(
    make: Make, source: str, target: str
) -> None:
    here, there = make(source), make(target)
    seen = seeing(there)
    async with up(here), up(there), relaying(here, there, "order.*", group="out"):
        sent = [
            await here.publish("order.placed", n, key=f"k{n % 3}", headers={"shop": "a"})
            for n in range(30)
        ]
        with anyio.fail_after(PATIENCE):
            while len({each.id for each in seen.items}) < 30:
                await anyio.sleep(0.01)
        assert here.stats().dead == 0
    came = {each.id: each for each in seen.items}
    for each in sent:
        assert came[each.id].key == each.key
        assert came[each.id].time == each.time
        assert came[each.id].headers["shop"] == "a"
    for key in ("k0", "k1", "k2"):
        order = list(dict.fromkeys(each.id for each in seen.items if each.key == key))
        assert order == [each.id for each in sent if each.key == key]


@pytest.mark.parametrize("target", ["redis", "memory"])
async def test_out_and_back_ends(make: Make, target: str) -> None:
    here, there = make("kafka"), make(target)
    seen, back = seeing(there), seeing(here)
    async with (
        up(here),
        up(there),
        relaying(here, there, "**", group="out"),
        relaying(there, here, "**", group="back"),
    ):
        for n in range(10):
            await here.publish("order.placed", n, key="k")
        await seen.count(10)
        await back.count(10)
        with anyio.fail_after(PATIENCE):
            while there.stats().dropped < 10:
                await anyio.sleep(0.01)
        assert len(back.items) == 10


async def numbers(seen: Seen, many: int) -> list[int]:
    """The first time that each came, in order."""
    with anyio.fail_after(PATIENCE):
        while len({each.id for each in seen.items}) < many:
            await anyio.sleep(0.01)
    return list(dict.fromkeys(int(bytes(each.data)) for each in seen.items))


async def pending(bus: Bus, group: str) -> int:
    """What somebody has and did not acknowledge."""
    return next((each.pending or 0 for each in await bus.groups() if each.name == group), 0)


async def test_a_kafka_that_is_killed_as_target_holds_the_source_and_loses_nothing(
    make: Make, own_kafka: KafkaServer
) -> None:
    redis = make("redis")
    kafka = Bus(f"{own_kafka.url}?lease=3s&metadata_age=300ms", service="shop")
    seen = seeing(kafka)
    async with up(redis), up(kafka), relaying(redis, kafka, "order.*", group="out"):
        await redis.publish("order.placed", 0, key="k")
        assert await numbers(seen, 1) == [0]
        await anyio.to_thread.run_sync(own_kafka.kill)
        for n in range(1, 21):
            await redis.publish("order.placed", n, key="k")
        with anyio.fail_after(PATIENCE):
            while not await pending(redis, "out"):
                await anyio.sleep(0.01)
        await anyio.to_thread.run_sync(own_kafka.start)
        assert await numbers(seen, 21) == list(range(21))
        assert redis.stats().dead == 0
        assert await redis.dead_letters("out").list() == []


async def test_a_kafka_that_is_killed_as_source_goes_on_where_it_was(
    make: Make, own_kafka: KafkaServer
) -> None:
    redis = make("redis")
    kafka = Bus(f"{own_kafka.url}?lease=3s&metadata_age=300ms", service="shop")
    seen = seeing(redis)
    async with up(redis), up(kafka), relaying(kafka, redis, "order.*", group="out"):
        for n in range(10):
            await kafka.publish("order.placed", n, key="k")
        assert await numbers(seen, 10) == list(range(10))
        await anyio.to_thread.run_sync(own_kafka.kill)
        await anyio.to_thread.run_sync(own_kafka.start)
        for n in range(10, 20):
            with anyio.fail_after(PATIENCE):
                await kafka.publish("order.placed", n, key="k")
        assert await numbers(seen, 20) == list(range(20))
        assert kafka.stats().dead == 0
