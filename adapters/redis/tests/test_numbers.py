"""What the transport says of itself and of its groups."""

from __future__ import annotations

import time
from typing import Any

import anyio
import pytest

from busway import Bus
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


async def swept(place: Place) -> None:
    topology: Any = place.transport._topology  # pyright: ignore[reportPrivateUsage]
    await topology.script(SWEEP, [place.stream], ("billing", 10**9, 1))


async def test_a_stream_that_others_read_too_is_not_swept(redis_server: RedisServer) -> None:
    async with opened(redis_server, "lease=60s") as place:
        place.fill("1000-0", "2000-0")
        place.group("billing", read=2, acked=2)
        topology: Any = place.transport._topology  # pyright: ignore[reportPrivateUsage]
        await topology.script(SWEEP, [place.stream], ("billing", 10**9, 0))
        assert place.ids() == ["1000-0", "2000-0"]
