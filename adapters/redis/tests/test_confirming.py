"""What counts as published: with replicas, and after an answer that did not come."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest

from busway import Bus
from busway.errors import PublishError, PublishUnknown
from busway_redis import open_redis
from busway_redis._transport import RedisTransport
from tests.facts import PATIENCE
from tests.faults._proxy import Proxy
from tests.servers import RedisServer
from tests.servers.plugin import started_or_skip

pytestmark = pytest.mark.anyio

CHANNELS = ("orders", "taken", "refunds")


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[RedisServer, RedisServer]]:
    """A master and its replica."""
    with started_or_skip(RedisServer) as master, started_or_skip(RedisServer) as replica:
        replica.command("REPLICAOF", "127.0.0.1", master.port)
        yield master, replica


@pytest.fixture
async def master(pair: tuple[RedisServer, RedisServer]) -> RedisServer:
    await in_step(pair[0])
    return pair[0]


@pytest.fixture
def replica(pair: tuple[RedisServer, RedisServer]) -> RedisServer:
    return pair[1]


async def in_step(master: RedisServer) -> None:
    with anyio.fail_after(PATIENCE):
        while master.command("WAIT", 1, 50) != 1:
            await anyio.sleep(0.02)


@contextmanager
def paused(server: RedisServer) -> Generator[None]:
    server.pause()
    try:
        yield
    finally:
        server.resume()


def opened(server: RedisServer, options: str) -> RedisTransport:
    prefix = f"t{uuid.uuid4().hex[:8]}"
    return open_redis(f"{server.url}?prefix={prefix}&{options}")


def length(server: RedisServer, transport: RedisTransport) -> Any:
    return server.command("XLEN", transport.keys.stream("orders"))


# --- wait=n ---------------------------------------------------------------------------------------


async def test_a_publish_that_the_replica_has_is_written(
    master: RedisServer, replica: RedisServer
) -> None:
    transport = opened(master, "wait=1")
    async with Bus(transport, publish_only=True) as bus:
        await bus.publish("orders.placed", 1)
        assert length(replica, transport) == 1


async def test_a_publish_that_no_replica_has_in_time_is_unknown_and_on_the_master(
    master: RedisServer, replica: RedisServer
) -> None:
    transport = opened(master, "wait=1&timeout=1s&lease=10s")
    async with Bus(transport, publish_only=True) as bus:
        await bus.publish("orders.placed", 0)
        with paused(replica), pytest.raises(PublishUnknown, match="0 of 1 replicas had it"):
            await bus.publish("orders.placed", 1)
        assert length(master, transport) == 2
        confirmed = transport.publishing.confirmed
        assert confirmed is not None
        assert confirmed.unconfirmed == 1
        await in_step(master)
        await bus.publish("orders.placed", 2)


async def test_what_is_published_together_has_one_wait(master: RedisServer) -> None:
    transport = opened(master, "wait=1")
    async with Bus(transport, publish_only=True) as bus:
        await bus.publish("orders.placed", 0)
        before = calls(master, "wait")
        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(bus.publish, "orders.placed", number)
        assert length(master, transport) == 101
        assert calls(master, "wait") - before <= 3


async def test_what_is_not_published_goes_on_while_replicas_are_waited_for(
    master: RedisServer, replica: RedisServer
) -> None:
    transport = opened(master, "wait=1&timeout=2s&lease=10s")
    async with Bus(transport, publish_only=True) as bus:
        await bus.publish("orders.placed", 1)
        with paused(replica):
            publishing = asyncio.ensure_future(bus.publish("orders.placed", 2))
            with anyio.fail_after(PATIENCE):
                while length(master, transport) != 2:
                    await anyio.sleep(0.01)
                await bus.groups()
                assert not publishing.done()
        with anyio.fail_after(PATIENCE):
            await asyncio.wait([publishing])
        publishing.exception()


async def test_what_was_refused_is_not_written_however_many_replicas_there_are(
    master: RedisServer,
) -> None:
    transport = opened(master, "wait=1")
    async with Bus(transport, publish_only=True) as bus:
        master.command("SET", transport.keys.stream("orders"), "taken")
        with pytest.raises(PublishError, match="WRONGTYPE") as caught:
            await bus.publish("orders.placed", 1)
        assert not isinstance(caught.value, PublishUnknown)


# --- on_unknown -----------------------------------------------------------------------------------


async def test_an_unanswered_publish_is_unknown_and_is_not_sent_again(
    redis_server: RedisServer,
) -> None:
    async with Proxy("127.0.0.1", redis_server.port) as proxy:
        transport = through(proxy)
        async with Bus(transport, publish_only=True) as bus:
            await bus.publish("orders.placed", "first")
            proxy.cut_at(b"second", "after")
            with pytest.raises(PublishUnknown):
                await bus.publish("orders.placed", "second")
    assert length(redis_server, transport) == 2


async def test_with_resend_an_unanswered_publish_is_sent_again_and_may_be_there_twice(
    redis_server: RedisServer,
) -> None:
    async with Proxy("127.0.0.1", redis_server.port) as proxy:
        transport = through(proxy, "&on_unknown=resend")
        async with Bus(transport, publish_only=True) as bus:
            await bus.publish("orders.placed", "first")
            proxy.cut_at(b"second", "after")
            await bus.publish("orders.placed", "second")
    assert length(redis_server, transport) == 3
    resending = transport.publishing.resending
    assert resending is not None
    assert resending.resent == 1


async def test_what_is_refused_when_it_is_sent_again_stays_unknown(
    redis_server: RedisServer,
) -> None:
    async with Proxy("127.0.0.1", redis_server.port) as proxy:
        transport = through(proxy, "&on_unknown=resend")
        async with Bus(transport, publish_only=True) as bus:
            redis_server.command("SET", transport.keys.stream("taken"), "by somebody")
            proxy.cut_at(b"second", "after")
            events = [bus.envelope(f"{name}.placed", "second") for name in CHANNELS]
            with pytest.raises(PublishUnknown) as caught:
                await bus.publish_many(events)
    # What is refused now may have been written before.
    assert [envelope for envelope, _ in caught.value.failed] == [events[1]]
    assert 1 <= length(redis_server, transport) <= 2


async def test_resending_ends_with_the_deadline(redis_server: RedisServer) -> None:
    async with Proxy("127.0.0.1", redis_server.port) as proxy:
        transport = through(proxy, "&on_unknown=resend&timeout=500ms&lease=10s")
        async with Bus(transport, publish_only=True, publish_timeout=1.0) as bus:
            await bus.publish("orders.placed", 1)
            proxy.stall("down")
            with anyio.fail_after(PATIENCE), pytest.raises(PublishUnknown):
                await bus.publish("orders.placed", 2)
            proxy.heal()


async def test_what_the_master_has_and_no_replica_confirmed_is_not_sent_again(
    master: RedisServer, replica: RedisServer
) -> None:
    transport = opened(master, "wait=1&on_unknown=resend&timeout=1s&lease=10s")
    async with Bus(transport, publish_only=True) as bus:
        with paused(replica), pytest.raises(PublishUnknown, match="0 of 1"):
            await bus.publish("orders.placed", 1)
    assert length(master, transport) == 1


def through(proxy: Any, options: str = "") -> RedisTransport:
    prefix = f"t{uuid.uuid4().hex[:8]}"
    return open_redis(f"redis://127.0.0.1:{proxy.port}/0?prefix={prefix}{options}")


def calls(server: RedisServer, command: str) -> int:
    said = server.info("commandstats").get(f"cmdstat_{command}", "calls=0,")
    return int(said.removeprefix("calls=").partition(",")[0])
