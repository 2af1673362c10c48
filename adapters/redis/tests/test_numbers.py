"""What the transport says of itself and of its groups."""

from __future__ import annotations

import time
from typing import Any

import anyio
import pytest

from busway import Bus, TransportError
from busway.transport import ChannelState, GroupState
from busway_redis._scripts import SWEEP
from tests.facts import PATIENCE, Seen, noting, up
from tests.servers import RedisServer

from .test_retention import Place, opened

pytestmark = pytest.mark.anyio


async def state_of(bus: Bus, name: str) -> GroupState:
    (state,) = [each for each in await bus.groups() if each.name == name]
    return state


@pytest.mark.parametrize("shards", [1, 3])
async def test_a_group_tells_lag_pending_and_age_of_each_channel(
    redis_server: RedisServer, shards: int
) -> None:
    async with opened(redis_server, f"shards={shards}&lease=60s") as place:
        bus = Bus(place.transport, service="shop")
        bus.add(noting(Seen()), "orders.*", "refunds.*", group="billing")
        async with up(bus):
            await bus.publish("refunds.made", 1)
            await bus.drain()
        before = time.time()
        async with Bus(place.another(), service="web", publish_only=True) as web:
            for number in range(6):
                await web.publish("orders.placed", number, key=str(number))
            state = await state_of(web, "billing")
        after = time.time()
        orders, refunds = state.channels
        assert refunds == ChannelState("refunds", 0, 0)
        assert (orders.name, orders.lag, orders.pending) == ("orders", 6, 0)
        assert orders.oldest is not None
        assert before - 1 <= orders.oldest <= after + 1
        assert (state.lag, state.pending, state.oldest) == (6, 0, orders.oldest)


async def test_the_oldest_is_what_is_pending_longest(redis_server: RedisServer) -> None:
    async with opened(redis_server, "lease=60s") as place:
        place.fill("1000-0", "2000-0", "3000-0")
        redis_server.command("HSET", place.transport.keys.groups, "billing", "{}")
        place.group("billing", read=3, acked=1)
        (state,) = await place.transport.groups()
        assert state.channels == (ChannelState("orders", 0, 2, 2.0),)


async def test_a_lag_that_the_server_cannot_tell_is_not_told(redis_server: RedisServer) -> None:
    async with opened(redis_server, "lease=60s") as place:
        place.fill("1000-0", "2000-0", "3000-0", "4000-0")
        redis_server.command("HSET", place.transport.keys.groups, "billing", "{}")
        place.group("billing", read=1)
        redis_server.command("XDEL", place.stream, "3000-0")
        (state,) = await place.transport.groups()
        assert state.lag is None
        assert state.channels[0].lag is None


async def test_what_a_server_counts_wrongly_after_it_was_killed_is_bounded_and_then_mended(
    own_redis: RedisServer,
) -> None:
    """Its log says what a group has read and not how much, which is as at the last rewrite."""
    async with opened(own_redis, "lease=60s") as place:
        own_redis.command("HSET", place.transport.keys.groups, "billing", "{}")
        place.fill("1000-0", "2000-0", "3000-0", "4000-0")
        place.group("billing", read=1, acked=1)
        own_redis.command("BGREWRITEAOF")
        with anyio.fail_after(PATIENCE):
            while _rewriting(own_redis):
                await anyio.sleep(0.01)
        _read(own_redis, place, "2000-0")
        _read(own_redis, place, "3000-0")
        own_redis.command("XTRIM", place.stream, "MINID", "3000-0")
        await anyio.to_thread.run_sync(lambda: own_redis.restart(hard=True))
        counted: Any = own_redis.command("XINFO", "GROUPS", place.stream)
        if counted[0][counted[0].index("lag") + 1] == 1:
            pytest.skip("this server counts rightly")
        assert (await _state(place)).lag == 2, "there are two entries, whatever it counts"
        _read(own_redis, place, "4000-0")
        assert (await _state(place)).lag == 0
        await swept(place, deletes=False)
        place.fill("5000-0", "6000-0")
        _read(own_redis, place, "5000-0")
        assert (await _state(place)).lag == 1


def _rewriting(server: RedisServer) -> bool:
    told = str(server.command("INFO", "persistence"))
    return "aof_rewrite_in_progress:1" in told or "aof_rewrite_scheduled:1" in told


def _read(server: RedisServer, place: Place, id: str) -> None:
    """The group reads one entry, and it is the one expected."""
    words = ("XREADGROUP", "GROUP", "billing", "someone", "COUNT", 1, "STREAMS", place.stream, ">")
    answer: Any = server.command(*words)
    assert [each for each, _ in answer[0][1]] == [id]
    server.command("XACK", place.stream, "billing", id)


async def _state(place: Place) -> GroupState:
    with anyio.fail_after(PATIENCE):
        while True:
            try:
                (state,) = await place.transport.groups()
            except TransportError:
                await anyio.sleep(0.02)  # the server has just come back
            else:
                return state


@pytest.mark.parametrize("read", [0, 1])
async def test_what_waits_in_a_retry_stream_is_counted_whatever_was_removed_from_it(
    redis_server: RedisServer, read: int
) -> None:
    async with opened(redis_server, "lease=60s") as place:
        keys = place.transport.keys
        redis_server.command("HSET", keys.groups, "billing", "{}")
        redis_server.command("SADD", keys.joined("billing"), "orders")
        place.stream = keys.retry("orders", "billing")
        for id in ("1000-0", "2000-0", "3000-0", "4000-0"):
            redis_server.command("XADD", place.stream, id, "event", "{}")
        place.group("billing", read=read, acked=0)
        redis_server.command("XDEL", place.stream, "3000-0")
        (state,) = await place.transport.groups()
        assert (state.lag, state.pending) == (3 - read, read)


async def test_connections_that_are_made_again_are_counted(redis_server: RedisServer) -> None:
    async with opened(redis_server, "lease=60s") as place:
        bus = Bus(place.transport, service="shop")
        bus.add(noting(Seen()), "orders.*", group="billing")
        async with up(bus):
            before = bus.stats().transport["connections"]
            redis_server.command("CLIENT", "KILL", "TYPE", "normal")
            with anyio.fail_after(PATIENCE):
                while bus.stats().transport["connections"] < before + 2:
                    await anyio.sleep(0.01)


async def test_what_was_trimmed_while_it_was_pending_is_counted_as_ghosts(
    redis_server: RedisServer,
) -> None:
    async with opened(redis_server, "lease=60s") as place:
        place.fill("1000-0", "2000-0")
        place.group("billing", read=2)
        for id in ("1000-0", "2000-0"):
            _stale(place, id)
        redis_server.command("XTRIM", place.stream, "MAXLEN", 0)
        bus = Bus(place.transport, service="shop")
        bus.add(noting(Seen()), "orders.*", group="billing")
        async with up(bus):
            with anyio.fail_after(PATIENCE):
                while bus.stats().transport["ghosts"] < 2:
                    await anyio.sleep(0.01)
        assert bus.stats().transport["ghosts"] == 2, "what a feed counted outlives it"


def _stale(place: Place, id: str) -> None:
    """As if nobody had looked after it for long."""
    words = ("XCLAIM", place.stream, "billing", "someone", 0, id, "IDLE", 10**9, "JUSTID")
    place.server.command(*words)


async def test_what_was_handled_does_not_stay_in_a_retry_stream(redis_server: RedisServer) -> None:
    """Where it was acknowledged and the word that it can go was lost."""
    async with opened(redis_server, "lease=60s") as place:
        place.stream = place.transport.keys.retry("orders", "billing")
        for id in ("1000-0", "2000-0", "3000-0", "4000-0"):
            redis_server.command("XADD", place.stream, id, "event", "{}")
        assert place.group("billing", read=3, acked=2) == ["1000-0", "2000-0"]
        await swept(place)
        assert place.ids() == ["3000-0", "4000-0"]
        redis_server.command("XACK", place.stream, "billing", "3000-0")
        await swept(place)
        assert place.ids() == ["4000-0"], "it has not been read"


async def swept(place: Place, *, deletes: bool = True) -> None:
    topology: Any = place.transport._topology  # pyright: ignore[reportPrivateUsage]
    await topology.script(SWEEP, [place.stream], ("billing", 10**9, int(deletes)))


async def test_a_stream_that_others_read_too_is_not_swept(redis_server: RedisServer) -> None:
    async with opened(redis_server, "lease=60s") as place:
        place.fill("1000-0", "2000-0")
        place.group("billing", read=2, acked=2)
        await swept(place, deletes=False)
        assert place.ids() == ["1000-0", "2000-0"]
