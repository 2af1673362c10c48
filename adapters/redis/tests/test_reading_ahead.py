"""How much is fetched at once, of what, and when."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from busway import Envelope
from busway.codec import JsonCodec
from busway.transport import Address, Delivery, Group, Outgoing, Purpose
from busway_redis import RedisTransport, open_redis
from busway_redis._feed import RedisFeed
from busway_redis._reader import Reader
from busway_redis._source import Source
from tests.servers import RedisServer

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 15.0


@asynccontextmanager
async def reading(
    server: RedisServer, *channels: str, options: str = ""
) -> AsyncGenerator[tuple[RedisTransport, RedisFeed, str]]:
    """A transport with names of its own, a feed of some channels, and the prefix."""
    prefix = f"t{uuid.uuid4().hex[:8]}"
    group = Group("g", ("**",), lambda topic: True, frozenset(channels), member="one")
    with anyio.fail_after(2 * PATIENCE):
        async with (
            open_redis(f"{server.url}?prefix={prefix}{options}") as transport,
            transport.listen(group) as feed,
        ):
            assert isinstance(feed, RedisFeed)
            yield transport, feed, prefix


async def send(transport: RedisTransport, channel: str, count: int) -> None:
    now = time.time()
    items = [
        Outgoing(Envelope("a.b", number, "test", now), Address(channel), JsonCodec())
        for number in range(count)
    ]
    await transport.send(items, timeout=5)


async def received(feed: RedisFeed, limit: int, count: int) -> list[Delivery]:
    """So many, as they come: who handles them never waits."""
    found: list[Delivery] = []
    while len(found) < count:
        more: Sequence[Delivery] = await feed.receive(limit)
        await feed.ack(more)
        found += more
    return found


def calls(server: RedisServer, command: str) -> int:
    """How often the server was asked."""
    told: str = server.info("commandstats")[f"cmdstat_{command}"]
    return int(told.removeprefix("calls=").partition(",")[0])


async def test_the_next_is_fetched_while_handlers_run_that_never_wait(
    redis_server: RedisServer,
) -> None:
    async with reading(redis_server, "a") as (transport, feed, prefix):
        await send(transport, "a", 700)
        taken = len(await feed.receive(1_000))
        assert 0 < taken < 700
        # From here on this loop stands still, as it does under a handler that computes.
        until = time.monotonic() + PATIENCE
        pending = 0
        while pending <= taken:
            assert time.monotonic() < until, f"{pending} are fetched, {taken} of them handed out"
            pending = redis_server.command("XPENDING", f"{prefix}:{{a}}", "g")[0]


@pytest.mark.parametrize(
    ("options", "command", "most"),
    # A share of 90 is 6 of each of 16 streams, or 3 of each of 32: that would be 300 commands, or
    # 300 scripts that read and up to 600 that acknowledge.
    [("", "xreadgroup", 150), ("&shards=2", "evalsha", 300)],
)
async def test_a_stream_that_has_more_than_its_share_is_asked_alone_for_all_that_is_wanted(
    redis_server: RedisServer, options: str, command: str, most: int
) -> None:
    """Beside it are the group's retries and channels in which nothing happens."""
    channels = ("a", "b", "c", "d", "e", "f", "g", "h")
    async with reading(redis_server, *channels, options=options) as (transport, feed, _):
        await send(transport, "a", 1_800)
        redis_server.command("CONFIG", "RESETSTAT")
        await received(feed, 90, 1_800)
        asked = calls(redis_server, command)
    assert asked < most


async def test_a_stream_that_has_much_keeps_no_other_waiting(redis_server: RedisServer) -> None:
    async with reading(redis_server, "a", "b") as (transport, feed, _):
        await send(transport, "a", 3_000)
        await received(feed, 100, 200)
        await send(transport, "b", 1)
        before = 0
        while not any(each.channel == "b" for each in await feed.receive(100)):
            before += 1
            assert before < 12, "b waits for the end of a"


async def test_receiving_may_be_cancelled_while_the_next_is_asked_for(
    redis_server: RedisServer,
) -> None:
    async with reading(redis_server, "a") as (transport, feed, _):
        await send(transport, "a", 1_000)
        numbers: list[int] = []
        while len(numbers) < 1_000:
            receiving = asyncio.create_task(feed.receive(50))
            await asyncio.sleep(0)  # it has begun
            receiving.cancel()
            await asyncio.wait([receiving])
            if receiving.cancelled():
                more = await feed.receive(50)
            else:
                more = receiving.result()
            numbers += [int(bytes(each.content.data)) for each in more]  # type: ignore[union-attr]
            await feed.ack(more)
        assert numbers == list(range(1_000))


async def test_with_a_stream_that_is_asked_alone_goes_the_one_where_bells_are_rung(
    redis_server: RedisServer,
) -> None:
    """What another gives back is older than what is new."""
    async with reading(redis_server, "a", "b") as (_, feed, _):
        anything: Any = None
        reader = Reader(feed, anything, anything)
        for source in feed.sources.values():
            reader.add(source)
        (events,) = [s for s in feed.sources.values() if s.channel == "a" and not s.deletes]
        reader._note_full([(events.key.encode(), [(b"1-0", [b"event", b""])] * 5)], 5)
        assert {each.key for each in reader._full.values()} == {events.key, events.bell}


async def test_from_where_an_event_was_passed_on_nothing_is_read_for_a_moment(
    redis_server: RedisServer,
) -> None:
    """Who has no handler for it would be woken first by it, again and again."""
    prefix = f"t{uuid.uuid4().hex[:8]}"
    group = Group("g", ("a.c",), lambda topic: topic == "a.c", frozenset(["a"]), member="one")
    with anyio.fail_after(2 * PATIENCE):
        async with (
            open_redis(f"{redis_server.url}?prefix={prefix}&shards=2") as transport,
            transport.listen(group) as feed,
        ):
            assert isinstance(feed, RedisFeed)
            await send(transport, "a", 1)
            (delivery,) = await feed.receive(1)
            source: Source = delivery.receipt[0]
            address = Address("a", Purpose.RETRY, "g")
            later = Outgoing(delivery.content, address, JsonCodec(), due=time.time() + 60)
            assert await feed.move(delivery, later)
            aside = feed.sources[transport.keys.passed("a", "g", source.shard)]
            assert aside.rests_until > time.monotonic()
