"""What a feed of Redis does when a call to the server is lost, refused, or crosses another."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest

from busway import Envelope, TransportError
from busway.codec import JsonCodec
from busway.transport import Address, Delivery, Group, Outgoing, Raw
from busway_redis import RedisTransport, open_redis
from busway_redis._errors import Refused
from busway_redis._feed import RedisFeed
from busway_redis._reader import Reader
from busway_redis._source import Source
from tests.servers import RedisServer

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 15.0
LEASE = 1.2
IMPATIENT = "&timeout=1s"
"""Where a server that does not answer is waited for."""


@asynccontextmanager
async def entered(
    server: RedisServer, *, lease: float = LEASE, options: str = ""
) -> AsyncGenerator[RedisTransport]:
    """A transport with names of its own."""
    prefix = f"t{uuid.uuid4().hex[:8]}"
    transport = open_redis(f"{server.url}?prefix={prefix}&lease={lease}s{options}")
    with anyio.fail_after(2 * PATIENCE):
        async with transport:
            yield transport


def group(member: str = "one", channels: str | None = "a", **given: Any) -> Group:
    """A member of the group of these tests, which follows some channels, or all."""
    names = None if channels is None else frozenset(channels)
    return Group("g", ("**",), lambda topic: True, names, member=member, **given)


async def send(transport: RedisTransport, *data: Any, channel: str = "a") -> None:
    """Events, in this order."""
    items = [
        Outgoing(Envelope("a.b", each, "test", time.time()), Address(channel), JsonCodec())
        for each in data
    ]
    await transport.send(items, timeout=5)


async def received(feed: RedisFeed, count: int) -> list[Delivery]:
    """So many deliveries, however they come."""
    found: list[Delivery] = []
    with anyio.fail_after(PATIENCE):
        while len(found) < count:
            with contextlib.suppress(TransportError):  # the core calls again, too
                found += await feed.receive(count - len(found))
    return found


async def back(server: RedisServer, transport: RedisTransport) -> None:
    """The server was killed, is there again, and was reached."""
    await asyncio.to_thread(server.restart, hard=True)
    with anyio.fail_after(PATIENCE):
        while True:
            with contextlib.suppress(TransportError):
                await transport.call("k", "PING")
                return


def data(deliveries: Sequence[Delivery]) -> list[Any]:
    """What was published; of what nobody could read, why."""
    contents = [delivery.content for delivery in deliveries]
    return [
        each.reason if isinstance(each, Raw) else msgspec.json.decode(each.data)
        for each in contents
    ]


async def pending(transport: RedisTransport) -> list[tuple[bytes, bytes, int]]:
    """What the group has not settled: id, owner, and how often it was handed out."""
    key = transport.keys.stream("a")
    told = await transport.call(key, "XPENDING", key, "g", "-", "+", 100)
    return [(id, owner, count) for id, owner, _, count in told]


async def test_what_could_not_be_given_back_comes_again_when_its_loan_ends(
    own_redis: RedisServer,
) -> None:
    async with entered(own_redis) as transport, transport.listen(group()) as feed:
        await send(transport, 1)
        (delivery,) = await received(feed, 1)
        own_redis.pause()
        try:
            with pytest.raises(TransportError):
                await feed.release([delivery])
        finally:
            await back(own_redis, transport)
        (again,) = await received(feed, 1)
        assert data([again]) == [1]
        assert await feed.ack([again]) == 0
        assert await pending(transport) == []


async def test_what_could_not_be_given_back_can_be_given_back_again(
    own_redis: RedisServer,
) -> None:
    """Its lease is too long for anything else to bring it back."""
    async with (
        entered(own_redis, lease=60) as transport,
        transport.listen(group()) as feed,
    ):
        await send(transport, 1, 2)
        held = await received(feed, 2)
        with refusing(own_redis):
            for _ in range(2):
                with pytest.raises(Refused, match="NOREPLICAS") as caught:
                    await feed.release(held)
                assert caught.value.retryable
        assert not any(each.lost for each in held), "they are lent as before"
        await feed.release(held)
        again = await received(feed, 2)
        assert data(again) == [1, 2]
        assert [each.delivered for each in again] == [1, 1]
        await feed.release(held)
        assert await feed.ack(again) == 0
        assert await pending(transport) == []


async def test_who_leaves_with_what_could_not_be_given_back_makes_no_suspect_of_it(
    own_redis: RedisServer,
) -> None:
    async with entered(own_redis, lease=60) as transport:
        async with transport.listen(group()) as feed:
            await send(transport, 1)
            held = await received(feed, 1)
            with refusing(own_redis), pytest.raises(Refused):
                await feed.release(held)
        async with transport.listen(group("two")) as feed:
            (again,) = await received(feed, 1)
            assert again.delivered == 1


@contextlib.contextmanager
def refusing(server: RedisServer) -> Generator[None]:
    """It answers, and takes no write."""
    server.command("CONFIG", "SET", "min-replicas-to-write", 1)
    try:
        yield
    finally:
        server.command("CONFIG", "SET", "min-replicas-to-write", 0)


async def test_what_was_handled_and_could_not_be_told_is_told_when_its_loan_ends(
    own_redis: RedisServer,
) -> None:
    async with entered(own_redis) as transport, transport.listen(group()) as feed:
        await send(transport, 1)
        handled = await received(feed, 1)
        own_redis.pause()
        try:
            with pytest.raises(TransportError):
                await feed.ack(handled)
        finally:
            await back(own_redis, transport)
        with anyio.fail_after(PATIENCE):
            while await pending(transport):
                await anyio.sleep(0.02)
        await send(transport, 2)
        assert data(await received(feed, 1)) == [2]


async def test_what_is_acknowledged_while_it_is_prolonged_is_not_lost(
    redis_server: RedisServer,
) -> None:
    async with entered(redis_server) as transport, transport.listen(group()) as feed:
        await send(transport, *range(20))
        for delivery in await received(feed, 20):
            lost, gone = await asyncio.gather(feed.ack([delivery]), feed.extend([delivery]))
            assert (lost, list(gone)) == (0, [])
            assert not delivery.lost


async def test_who_leaves_with_a_suspect_it_never_started_leaves_it_a_suspect(
    redis_server: RedisServer,
) -> None:
    async with entered(redis_server) as transport:
        async with transport.listen(group("crashes")) as feed:
            await send(transport, 1)
            await received(feed, 1)
            await feed.listening.die()
            feed.sources.clear()  # it has no last words
        async with transport.listen(group("leaves")) as feed:
            with anyio.fail_after(PATIENCE):
                while not feed.ready:
                    await anyio.sleep(0.02)
        assert [count for _, _, count in await pending(transport)] == [1]
        async with transport.listen(group("lives")) as feed:
            (suspect,) = await received(feed, 1)
            assert suspect.delivered == 2
            await feed.ack([suspect])


@pytest.mark.parametrize(
    "fields",
    [
        ("raw", "x", "headers", "no json"),
        ("raw", "x", "headers", '{"a": 1}'),
        ("raw", "x", "headers", b"\xff\xfe"),
        ("raw", "x", "attempt", "many"),
        ("event", "[" * 100_000),
        ("event", "{}", "story", "[" * 100_000),
        ("", ""),
    ],
)
async def test_an_entry_that_nobody_can_read_stops_nothing(
    redis_server: RedisServer, fields: tuple[str | bytes, ...]
) -> None:
    async with entered(redis_server) as transport, transport.listen(group()) as feed:
        key = transport.keys.stream("a")
        await transport.call(key, "XADD", key, "*", *fields)
        await send(transport, 1)
        raw, event = await received(feed, 2)
        assert isinstance(raw.content, Raw)
        assert data([event]) == [1]


async def test_a_reader_that_ends_by_an_error_of_its_own_is_not_silent(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with entered(redis_server) as transport, transport.listen(group()) as feed:

        def fail(*_: Any, **__: Any) -> Delivery:
            raise ZeroDivisionError

        monkeypatch.setattr(Source, "delivery", fail)
        await send(transport, 1)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="ZeroDivisionError"):
                await received(feed, 1)


async def test_what_was_read_with_a_bell_is_not_forgotten_when_the_taking_over_is_refused(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        entered(redis_server, lease=60) as transport,
        transport.listen(group("gives")) as giver,
        transport.listen(group("takes")) as feed,
    ):
        await send(transport, 1)
        lent = await received(giver, 1)
        await giver.listening.die()
        await giver.release(lent)
        await send(transport, 2)
        claim, refusals = feed.claim, [Refused("BUSY", "a script runs")]

        async def refuse_once() -> None:
            if refusals:
                raise refusals.pop()
            await claim()

        monkeypatch.setattr(feed, "claim", refuse_once)
        assert sorted(data(await received(feed, 2))) == [1, 2]
        assert not refusals


async def test_what_is_followed_twice_at_once_is_read_once(redis_server: RedisServer) -> None:
    async with entered(redis_server) as transport, transport.listen(group()) as feed:
        for channel in "bcdefgh":
            await send(transport, 1, channel=channel)
            joining = feed.listening._joining
            feed.group = group(channels=None)
            found = await asyncio.gather(*(joining.discover() for _ in range(3)))
            keys = [source.key for sources in found for source in sources]
            assert len(keys) == len(set(keys))
            feed.listening._add([source for sources in found for source in sources])
            assert data(await received(feed, 1)) == [1]


@pytest.mark.parametrize("given", [{"start": "latest"}, {"durable": False}])
async def test_who_follows_everything_later_gets_what_comes_from_then_on(
    redis_server: RedisServer, given: dict[str, Any]
) -> None:
    async with entered(redis_server) as transport:
        await send(transport, "old", channel="b")
        async with transport.listen(group(**given)) as feed:
            await feed.follow(group(channels=None, **given))
            await send(transport, "new", channel="b")
            await send(transport, "appeared", channel="c")
            assert sorted(data(await received(feed, 2))) == ["appeared", "new"]


async def test_what_is_held_of_a_channel_that_is_not_followed_any_more_is_given_back(
    redis_server: RedisServer,
) -> None:
    async with entered(redis_server, lease=60) as transport:
        async with transport.listen(group(channels="ab")) as feed:
            await send(transport, 1, 2)
            await received(feed, 2)
            await feed.follow(group(channels="b"))
        async with transport.listen(group("next")) as feed:
            assert data(await received(feed, 2)) == [1, 2]


async def test_what_nobody_can_read_among_what_is_due_stops_nothing(
    redis_server: RedisServer,
) -> None:
    async with entered(redis_server) as transport, transport.listen(group()) as feed:
        key = transport.keys.later("a")
        for member in ("junk", "", b"\x92\xa1a\xa1b", b"\xc1"):
            await transport.call(key, "ZADD", key, 1, member)
        item = Outgoing(Envelope("a.b", 1, "test", time.time()), Address("a"), JsonCodec())
        item.due = time.time() + 0.05
        await transport.send([item], timeout=5)
        *junk, event = sorted(await received(feed, 5), key=lambda each: each.receipt[1])
        assert all(isinstance(each.content, Raw) for each in junk)
        assert data([event]) == [1]


async def test_a_registry_that_was_lost_with_a_server_is_told_again(
    own_redis: RedisServer,
) -> None:
    async with entered(own_redis) as transport:
        await send(transport, 1)
        names = transport.keys.channels
        await transport.call(names, "DEL", names)
        await back(own_redis, transport)
        await send(transport, 2)
        with anyio.fail_after(PATIENCE):
            while await transport.call(names, "SMEMBERS", names) != [b"a"]:
                await anyio.sleep(0.01)


async def test_what_is_owed_is_not_handed_out_again_while_its_release_is_on_its_way(
    own_redis: RedisServer,
) -> None:
    """After a connection that broke, what is pending and was not seen is looked for."""
    async with (
        entered(own_redis, lease=60.0, options=IMPATIENT) as transport,
        transport.listen(group()) as feed,
    ):
        await send(transport, 1)
        (delivery,) = await received(feed, 1)
        await feed.listening.die()
        own_redis.pause()
        try:
            with pytest.raises(TransportError):
                await feed.release([delivery])
        finally:
            await back(own_redis, transport)
        nothing: Any = None
        reader = Reader(feed, nothing, nothing)
        for source in feed.sources.values():
            reader.add(source)
        await reader._look_through()
        assert not delivery.expired
        assert list(feed.ready) == []
