"""What is remembered of handled events, by stores of two processes over one Redis."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import anyio
import pytest
from redis.asyncio import Redis

from busway import Bus, OptionError, TransportError
from busway.memory import MemoryTransport
from busway.middleware import DONE, NEW, Busy, Claim, DedupeKey, DedupeStore
from busway_redis import RedisDedupe
from tests.facts import Seen, quick, until, up
from tests.servers import RedisCluster, RedisServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

pytestmark = pytest.mark.anyio

KEY: DedupeKey = ("billing", "e-1")
LONG = 60.0


class Pair:
    """The stores of two processes."""

    def __init__(self, url: str, **options: Any) -> None:
        prefix = f"t{uuid.uuid4().hex[:8]}"
        self.prefix = prefix
        self.one = RedisDedupe(url, prefix=prefix, **options)
        self.two = RedisDedupe(url, prefix=prefix, **options)


@pytest.fixture
async def pair(redis_server: RedisServer) -> AsyncGenerator[Pair]:
    made = Pair(redis_server.url)
    async with made.one, made.two:
        yield made


async def until_new(store: DedupeStore, key: DedupeKey = KEY) -> None:
    """Ask as a duplicate does, until the claim is ours."""
    with anyio.fail_after(10):
        while await store.claim(key, "later", LONG) != NEW:
            await anyio.sleep(0.005)


async def test_of_two_processes_one_gets_the_claim_and_the_other_waits(pair: Pair) -> None:
    assert await pair.one.claim(KEY, "a", LONG) == NEW
    held = await pair.two.claim(KEY, "b", LONG)
    assert isinstance(held, Busy)
    assert LONG - 5 < held.wait <= LONG


async def test_of_a_hundred_at_once_exactly_one_gets_it(pair: Pair) -> None:
    answers: list[Claim] = []

    async def ask(store: RedisDedupe, owner: str) -> None:
        answers.append(await store.claim(KEY, owner, LONG))

    async with anyio.create_task_group() as tasks:
        for n in range(50):
            tasks.start_soon(ask, pair.one, f"a{n}")
            tasks.start_soon(ask, pair.two, f"b{n}")
    assert answers.count(NEW) == 1
    assert sum(isinstance(each, Busy) for each in answers) == 99


async def test_what_is_done_is_done_for_both(pair: Pair) -> None:
    await pair.one.claim(KEY, "a", LONG)
    await pair.one.done(KEY, "a", None)
    assert await pair.one.claim(KEY, "a", LONG) == DONE
    assert await pair.two.claim(KEY, "b", LONG) == DONE


async def test_what_failed_is_free_again(pair: Pair) -> None:
    await pair.one.claim(KEY, "a", LONG)
    await pair.one.release(KEY, "a")
    await pair.one.release(KEY, "a")
    assert await pair.two.claim(KEY, "b", LONG) == NEW


async def test_only_the_owner_gives_a_claim_up_and_nobody_what_is_done(pair: Pair) -> None:
    await pair.one.claim(KEY, "a", LONG)
    await pair.two.release(KEY, "b")
    assert isinstance(await pair.two.claim(KEY, "b", LONG), Busy)
    await pair.one.done(KEY, "a", None)
    await pair.one.release(KEY, "a")
    assert await pair.two.claim(KEY, "b", LONG) == DONE


async def test_the_claim_of_a_dead_process_ends_by_the_servers_clock(pair: Pair) -> None:
    await pair.one.claim(KEY, "a", 0.05)
    await until_new(pair.two)
    await pair.one.release(KEY, "a")
    assert isinstance(await pair.one.claim(KEY, "c", LONG), Busy), "it is the other's by now"


async def test_a_success_that_comes_after_its_lease_counts(pair: Pair) -> None:
    await pair.one.claim(KEY, "a", 0.05)
    await until_new(pair.two)
    await pair.one.done(KEY, "a", None)
    await pair.two.release(KEY, "later")
    assert await pair.two.claim(KEY, "b", LONG) == DONE


async def test_a_handled_event_is_forgotten_after_its_ttl(pair: Pair) -> None:
    await pair.one.claim(KEY, "a", LONG)
    await pair.one.done(KEY, "a", 0.05)
    await until_new(pair.two)


async def test_every_key_ends_by_itself(pair: Pair, redis_server: RedisServer) -> None:
    await pair.one.claim(("billing", "claimed"), "a", 30.0)
    await pair.one.done(("billing", "handled"), "a", None)
    async with Redis.from_url(redis_server.url) as redis:
        keys = sorted([key async for key in redis.scan_iter(f"{pair.prefix}:*")])
        ends = [await redis.pttl(key) for key in keys]
    assert keys == [
        f"{pair.prefix}:dedupe:billing:{event}".encode() for event in ("claimed", "handled")
    ]
    assert 0 < ends[0] <= 30_000
    week = timedelta(days=7).total_seconds() * 1000
    assert week - 60_000 < ends[1] <= week


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a:b", "c"), ("a", "b:c")),
        (("a", "c"), ("b", "c")),
        (("a", "x" * 1000 + "y"), ("a", "x" * 1000 + "z")),
    ],
)
async def test_two_keys_are_two_whatever_is_in_them(
    pair: Pair, one: DedupeKey, other: DedupeKey
) -> None:
    await pair.one.done(one, "a", None)
    assert await pair.one.claim(other, "a", LONG) == NEW
    assert await pair.two.claim(one, "a", LONG) == DONE


async def test_each_prefix_remembers_for_itself(pair: Pair, redis_server: RedisServer) -> None:
    await pair.one.done(KEY, "a", None)
    async with RedisDedupe(redis_server.url, prefix=f"{pair.prefix}x") as other:
        assert await other.claim(KEY, "a", LONG) == NEW


async def test_a_server_that_was_restarted_still_knows() -> None:
    """And its scripts are given to it again."""
    with started_or_skip(lambda: RedisServer(fsync="always")) as server:
        made = Pair(server.url)
        async with made.one, made.two:
            await made.one.claim(KEY, "a", LONG)
            await made.one.done(KEY, "a", None)
            await anyio.to_thread.run_sync(server.kill)
            await anyio.to_thread.run_sync(server.start)
            with anyio.fail_after(10):
                assert await _insist(made.one) == DONE
                assert await made.two.claim(("billing", "e-2"), "b", LONG) == NEW


async def _insist(store: RedisDedupe) -> Claim:
    while True:
        try:
            return await store.claim(KEY, "again", LONG)
        except TransportError:
            await anyio.sleep(0.01)


async def test_a_server_that_cannot_be_had_is_an_error_in_time_and_is_asked_anew(
    own_redis: RedisServer,
) -> None:
    await anyio.to_thread.run_sync(own_redis.kill)
    store = RedisDedupe(own_redis.url, timeout=0.2)
    with anyio.fail_after(10):
        with pytest.raises(TransportError):
            await store.claim(KEY, "a", LONG)
        await anyio.to_thread.run_sync(own_redis.start)
        assert await _insist(store) == NEW
    await store.aclose()


async def test_it_connects_again_after_it_was_closed(pair: Pair) -> None:
    await pair.one.done(KEY, "a", None)
    await pair.one.aclose()
    await pair.one.aclose()
    assert await pair.one.claim(KEY, "a", LONG) == DONE


def test_one_store_outlives_an_event_loop(redis_server: RedisServer) -> None:
    store = RedisDedupe(redis_server.url, prefix=f"t{uuid.uuid4().hex[:8]}")
    asyncio.run(store.done(KEY, "a", None))

    async def ask() -> Claim:
        async with store:
            return await store.claim(KEY, "b", LONG)

    assert asyncio.run(ask()) == DONE


async def test_it_works_on_a_cluster_whatever_slot_the_key_is_in(
    redis_cluster: RedisCluster,
) -> None:
    made = Pair(redis_cluster.url)
    async with made.one, made.two:
        for n in range(20):
            key = ("billing", f"{{{n}}}-{n}")
            assert await made.one.claim(key, "a", LONG) == NEW
            await made.one.done(key, "a", None)
            assert await made.two.claim(key, "b", LONG) == DONE


async def test_two_buses_handle_one_event_once(pair: Pair) -> None:
    seen = Seen()

    async def handle(data: Any) -> None:
        seen.add(data)

    # What a publisher sends twice, each time to another process of one group.
    one, two = Bus(MemoryTransport(), service="shop"), Bus(MemoryTransport(), service="shop")
    for bus, store in ((one, pair.one), (two, pair.two)):
        bus.add(handle, "order.*", group="billing", dedupe=store)
    async with up(one), up(two):
        envelope = one.envelope("order.placed", 1)
        for bus in (one, two):
            await bus.publish(envelope)
            await bus.drain()
        assert two.stats().handled == 1
    assert seen.items == [1]


async def test_a_server_that_is_away_dead_letters_nothing(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    seen, bus = Seen(), Bus(MemoryTransport(), service="shop", retry=quick(1))
    store = RedisDedupe(own_redis.url, timeout=0.2)

    @bus.subscribe("order.*", group="billing", dedupe=store)
    async def handle(data: Any) -> None:
        seen.add(data)

    async with store, up(bus):
        await anyio.to_thread.run_sync(own_redis.kill)
        await bus.publish("order.placed", 1)
        await until(lambda: "the store is away" in caplog.text)
        await anyio.to_thread.run_sync(own_redis.start)
        await bus.drain()
        assert await bus.dead_letters("billing").list() == []
    assert seen.items == [1]
    assert bus.stats().failed == 0


@pytest.mark.parametrize("ttl", [0, -1, timedelta(0), float("nan"), float("inf")])
def test_a_time_is_above_0(ttl: Any) -> None:
    with pytest.raises(OptionError, match="ttl="):
        RedisDedupe("redis://localhost", ttl=ttl)


def test_no_password_is_shown() -> None:
    assert repr(RedisDedupe("redis://me:secret@host/3")) == "<RedisDedupe redis://host:6379/3>"
