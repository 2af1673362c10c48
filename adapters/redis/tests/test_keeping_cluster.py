"""Retention, max_length, wait and the checks at the start, where keys lie on many nodes."""

from __future__ import annotations

import uuid

import anyio
import pytest

from busway import Bus
from busway.errors import PublishError
from busway_redis import open_redis
from busway_redis._transport import RedisTransport
from tests.facts import PATIENCE, Seen, noting, up
from tests.servers import RedisCluster

pytestmark = pytest.mark.anyio

CHANNELS = ("orders", "refunds", "users", "mails")


@pytest.fixture
def opened(redis_cluster: RedisCluster) -> str:
    return f"{redis_cluster.url}?prefix=t{uuid.uuid4().hex[:8]}"


def transport_of(opened: str, options: str) -> RedisTransport:
    return open_redis(f"{opened}&{options}")


async def lengths(transport: RedisTransport) -> list[int]:
    keys = [transport.keys.stream(each) for each in CHANNELS]
    return [await transport.call(key, "XLEN", key) for key in keys]


async def test_what_was_handled_goes_on_every_node(opened: str) -> None:
    transport = transport_of(opened, "retention=50ms")
    seen = Seen()
    bus = Bus(transport, service="shop")
    bus.add(noting(seen), "*.done", group="billing")
    async with up(bus):
        for channel in CHANNELS:
            await bus.publish(f"{channel}.done", channel)
        await seen.count(4)
        with anyio.fail_after(PATIENCE):
            while sum(await lengths(transport)):
                await transport.retention.round()
        (state,) = await bus.groups()
        assert sorted(each.name for each in state.channels) == sorted(CHANNELS)


async def test_each_stream_is_full_by_itself(opened: str) -> None:
    transport = transport_of(opened, "max_length=2")
    async with Bus(transport, service="shop", publish_only=True) as bus:
        for channel in CHANNELS:
            await bus.publish(f"{channel}.done", 1)
            await bus.publish(f"{channel}.done", 2)
            with pytest.raises(PublishError, match="max_length=2"):
                await bus.publish(f"{channel}.done", 3)
        assert await lengths(transport) == [2, 2, 2, 2]


async def test_a_publish_waits_for_the_replica_of_its_own_node(opened: str) -> None:
    transport = transport_of(opened, "wait=1")
    async with Bus(transport, service="shop", publish_only=True) as bus:
        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(bus.publish, f"{CHANNELS[number % 4]}.done", number)
        assert await lengths(transport) == [10, 10, 10, 10]
        assert bus.stats().transport["unconfirmed"] == 0
