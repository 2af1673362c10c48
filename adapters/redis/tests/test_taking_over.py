"""What a member takes over from others: when, in which order, and whose it is then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from busway import Envelope, TransportError
from busway.codec import JsonCodec
from busway.transport import Address, Outgoing
from busway_redis import RedisTransport
from busway_redis._claiming import Claiming
from busway_redis._feed import RedisFeed
from busway_redis._moving import delayed
from busway_redis._scripts import DUE, SWEEP
from busway_redis._source import Source
from busway_redis._tending import Tending
from tests.servers import RedisServer

from .test_feed import IMPATIENT, PATIENCE, data, entered, group, pending, received, send

__all__: list[str] = []

pytestmark = pytest.mark.anyio

LONG = 60.0
"""Seconds: a lease that ends in no test."""
IDLE = 10**8
"""Milliseconds: nobody has looked after it for longer than that lease."""


@pytest.fixture
def only_bells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks for what was left behind, and finds by chance what was given back."""

    async def nothing(self: Claiming, source: Source) -> None:
        pass

    monkeypatch.setattr(Claiming, "left_behind", nothing)


def events_of(feed: RedisFeed) -> Source:
    """What it reads of the one channel that it follows."""
    (source,) = [each for each in feed.sources.values() if not each.deletes]
    return source


async def owned(
    transport: RedisTransport, member: str, count: int, *, handed: Sequence[int] = ()
) -> list[bytes]:
    """Have a member that is no more own what is new: so many events, each handed out so often."""
    key = transport.keys.stream("a")
    read = ("XREADGROUP", "GROUP", "g", member, "COUNT", count, "STREAMS", key, ">")
    ids = [id for id, _ in (await transport.call(key, *read))[0][1]]
    assert len(ids) == count
    for id, times in zip(ids, handed or [1] * count, strict=True):
        claim = ("XCLAIM", key, "g", member, 0, id, "IDLE", IDLE, "RETRYCOUNT", times, "JUSTID")
        await transport.call(key, *claim)
    return ids


async def handed_out(transport: RedisTransport) -> list[int]:
    """How often each was, of what nobody has settled."""
    return [count for _, _, count in await pending(transport)]


async def test_what_is_given_back_comes_before_what_is_new(
    redis_server: RedisServer, only_bells: None
) -> None:
    async with (
        entered(redis_server, lease=LONG) as transport,
        transport.listen(group("gives")) as giver,
    ):
        await send(transport, 1)
        lent = await received(giver, 1)
        await giver.listening.die()
        async with transport.listen(group("takes")) as feed:
            await giver.release(lent)
            await send(transport, 2)
            assert data(await received(feed, 1)) == [1]
            assert data(await received(feed, 1)) == [2]


async def test_what_was_only_fetched_by_who_leaves_comes_before_what_is_new(
    redis_server: RedisServer, only_bells: None
) -> None:
    async with (
        entered(redis_server, lease=LONG) as transport,
        transport.listen(group("leaves")) as leaver,
    ):
        await send(transport, 1)
        leaver.demand.set()
        with anyio.fail_after(PATIENCE):
            while not leaver.ready:
                await anyio.sleep(0.01)
        await leaver.listening.die()
        async with transport.listen(group("takes")) as feed:
            await leaver.listening.stop()
            await send(transport, 2)
            (older,) = await received(feed, 1)
            assert data([older]) == [1]
            assert older.delivered == 1, "nobody had it"
            assert data(await received(feed, 1)) == [2]


async def test_however_much_was_left_behind_is_gone_through(redis_server: RedisServer) -> None:
    """One command takes a hundred."""
    async with entered(redis_server, lease=LONG) as transport, transport.listen(group()) as feed:
        await feed.listening.die()
        await send(transport, *range(250))
        await owned(transport, "dead", 250)
        await Claiming(feed).left_behind(events_of(feed))
        assert len(feed.ready) == 250


async def test_suspects_are_handed_out_one_at_a_time_and_counted_first(
    redis_server: RedisServer,
) -> None:
    async with entered(redis_server, lease=LONG) as transport, transport.listen(group()) as feed:
        await feed.listening.die()
        await send(transport, "first suspect", "second suspect", "never handed out")
        await owned(transport, "dead", 3, handed=(1, 1, 0))
        await Claiming(feed).left_behind(events_of(feed))
        assert data(await feed.receive(10)) == ["first suspect"]
        assert await handed_out(transport) == [2, 1, 1]
        assert data(await feed.receive(10)) == ["never handed out"]
        assert data(await feed.receive(10)) == ["second suspect"]
        assert await handed_out(transport) == [2, 2, 1]


async def test_a_suspect_that_somebody_else_has_now_is_not_handed_out(
    redis_server: RedisServer,
) -> None:
    async with entered(redis_server, lease=LONG) as transport, transport.listen(group()) as feed:
        await feed.listening.die()
        await send(transport, "suspect", "never handed out")
        suspect, _ = await owned(transport, "dead", 2, handed=(1, 0))
        source = events_of(feed)
        await Claiming(feed).left_behind(source)
        await transport.call(source.key, "XCLAIM", source.key, "g", "other", 0, suspect, "JUSTID")
        assert data(await feed.receive(10)) == ["never handed out"]
        assert [owner for _, owner, _ in await pending(transport)] == [b"other", b"one"]
        assert feed.lost_in_wait == 1


async def test_what_is_fetched_ahead_stays_with_who_has_it(redis_server: RedisServer) -> None:
    """It is prolonged as what is handed out is, and dropped when it is somebody else's."""
    async with entered(redis_server, lease=LONG) as transport, transport.listen(group()) as feed:
        await feed.listening.die()
        await send(transport, "ours", "lost")
        ours, lost = await owned(transport, "dead", 2)
        source = events_of(feed)
        await Claiming(feed).left_behind(source)
        key = source.key
        nearly = round(LONG * 900)
        await transport.call(key, "XCLAIM", key, "g", "one", 0, ours, "IDLE", nearly, "JUSTID")
        await transport.call(key, "XCLAIM", key, "g", "other", 0, lost, "JUSTID")
        feed.demand.set()  # somebody asks: else it would be given back
        listening: Any = feed.listening
        with anyio.fail_after(PATIENCE):
            await Tending(feed, listening._joining, listening._add)._once()  # pyright: ignore[reportPrivateUsage]
        ((_, _, idle, _),) = await transport.call(key, "XPENDING", key, "g", ours, ours, 1)
        assert idle < nearly
        assert data(list(feed.ready)) == ["ours"]
        assert feed.lost_in_wait == 1


async def test_what_is_fetched_ahead_and_cannot_be_given_back_is_handed_out_before_what_is_new(
    own_redis: RedisServer,
) -> None:
    """Nobody asks for it while the server is away, and then its release is not answered."""
    async with (
        entered(own_redis, lease=LONG, options=IMPATIENT) as transport,
        transport.listen(group()) as feed,
    ):
        await feed.listening.die()
        listening: Any = feed.listening
        tending = Tending(feed, listening._joining, listening._add)
        await send(transport, *range(5))
        await owned(transport, "one", 5)
        source = events_of(feed)
        entries = await transport.call(source.key, "XRANGE", source.key, "-", "+")
        feed.arrived(source, entries, time.monotonic())
        feed.asked_at = float("-inf")
        own_redis.pause()
        try:
            with pytest.raises(TransportError):
                await tending._give_back()  # pyright: ignore[reportPrivateUsage]
        finally:
            own_redis.resume()
        feed.heard.clear()
        handed = await feed.receive(10)
        assert data(handed) == [0, 1, 2, 3, 4]
        assert {each.delivered for each in handed} == {1}


async def test_what_is_due_is_moved_once_however_many_look(redis_server: RedisServer) -> None:
    async with entered(redis_server) as transport:
        key, later = transport.keys.stream("a"), transport.keys.later("a")
        topology: Any = transport._topology  # pyright: ignore[reportPrivateUsage]
        for number in range(20):
            item = Outgoing(Envelope("a.b", number, "test", 1.0), Address("a"), JsonCodec())
            item.due = 1.0
            await transport.call(later, "ZADD", later, *delayed(item))
        looks = [topology.script(DUE, [later, key], (10,)) for _ in range(4)]
        moved = [each[0] for each in await asyncio.gather(*looks)]
        assert moved == [10, 10, 0, 0]
        assert await transport.call(key, "XLEN", key) == 20


async def test_a_consumer_that_owns_something_is_not_swept(redis_server: RedisServer) -> None:
    async with entered(redis_server, lease=LONG) as transport, transport.listen(group()) as feed:
        await feed.listening.die()
        key = events_of(feed).key
        await send(transport, 1)
        await owned(transport, "dead", 1)
        await transport.call(key, "XGROUP", "CREATECONSUMER", key, "g", "gone")
        await feed.topology.script(SWEEP, [key], ("g", -1, 0))
        consumers = await transport.call(key, "XINFO", "CONSUMERS", key, "g")
        assert [each[1] for each in consumers] == [b"dead"]
        assert len(await pending(transport)) == 1
