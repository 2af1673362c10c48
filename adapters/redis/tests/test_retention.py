"""What is handled goes in time, what is not stays, and who keeps it is named."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from busway import Bus
from busway_redis import open_redis
from busway_redis._retention import Retention
from busway_redis._transport import RedisTransport
from tests.facts import PATIENCE, Seen, noting, up
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

OLD = [f"{1000 + number}-0" for number in range(250)]


class Place:
    """A transport with a prefix of its own, and its streams as redis-cli sees them."""

    def __init__(self, server: RedisServer, options: str) -> None:
        self.server = server
        self.prefix = f"t{uuid.uuid4().hex[:8]}"
        self.url = f"{server.url}?prefix={self.prefix}&{options}"
        self.transport = open_redis(self.url)
        self.stream = self.transport.keys.stream("orders")

    @property
    def retention(self) -> Retention:
        return self.transport.retention

    def another(self) -> RedisTransport:
        return open_redis(self.url)

    def fill(self, *ids: str, channel: str = "orders") -> None:
        """Entries as old as their ids."""
        keys = self.transport.keys
        self.server.command("SADD", keys.channels, channel)
        with self.server.connect() as connection:
            for id in ids:
                connection.command("XADD", keys.stream(channel), id, "event", "{}")

    def group(self, name: str, *, read: int = 0, acked: int = 0) -> list[str]:
        """A group that has read so many and acknowledged so many of them; those it acknowledged."""
        self.server.command("XGROUP", "CREATE", self.stream, name, "0")
        if not read:
            return []
        answer: Any = self.server.command(
            "XREADGROUP", "GROUP", name, "someone", "COUNT", read, "STREAMS", self.stream, ">"
        )
        done = [id for id, _ in answer[0][1]][:acked]
        if done:
            self.server.command("XACK", self.stream, name, *done)
        return done

    def ids(self) -> list[str]:
        answer: Any = self.server.command("XRANGE", self.stream, "-", "+")
        return [id for id, _ in answer]


@pytest.fixture
async def place(redis_server: RedisServer) -> AsyncIterator[Place]:
    async with opened(redis_server, "retention=1h") as place:
        yield place


@asynccontextmanager
async def opened(server: RedisServer, options: str) -> AsyncGenerator[Place]:
    place = Place(server, options)
    async with place.transport:
        yield place


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


async def rounds_until(place: Place, fact: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while not fact():
            await place.retention.round()
            await anyio.sleep(0.02)


# --- what goes, and what stays --------------------------------------------------------------------


async def test_what_every_group_has_handled_and_is_old_goes(place: Place) -> None:
    place.fill(*OLD)
    place.server.command("XADD", place.stream, "*", "event", "{}")
    place.group("a", read=251, acked=251)
    place.group("b", read=251, acked=251)
    await place.retention.round()
    assert len(place.ids()) == 1, "what is young stays"
    assert place.retention.removed == 250


async def test_what_a_group_has_not_read_stays(place: Place) -> None:
    place.fill(*OLD)
    place.group("a", read=250, acked=250)
    place.group("b", read=120, acked=120)
    await place.retention.round()
    assert place.ids() == OLD[120:]


async def test_what_is_pending_in_a_group_stays(place: Place) -> None:
    place.fill(*OLD)
    place.group("a", read=250, acked=250)
    place.group("b", read=250, acked=30)
    await place.retention.round()
    assert place.ids() == OLD[30:]


async def test_one_pending_entry_keeps_all_behind_it(place: Place) -> None:
    place.fill(*OLD)
    place.group("a", read=250)
    place.server.command("XACK", place.stream, "a", *OLD[:5], *OLD[6:])
    await place.retention.round()
    assert place.ids() == OLD[5:]


async def test_a_stream_without_groups_is_left_alone(place: Place) -> None:
    place.fill(*OLD)
    await place.retention.round()
    assert place.ids() == OLD


async def test_a_group_that_reads_every_channel_and_has_not_found_this_one_keeps_all(
    place: Place,
) -> None:
    """It is down, and the channel is new: nothing in it says that it is still to come."""
    bus = Bus(place.another(), service="audit")
    bus.add(noting(Seen()), "*", "*.*", group="audit")
    async with up(bus):
        pass
    place.fill(*OLD)
    place.group("billing", read=250, acked=250)
    await place.retention.round()
    assert place.ids() == OLD
    assert await bus_removed(place, "audit")
    await place.retention.round()
    assert place.ids() == []


async def bus_removed(place: Place, group: str) -> bool:
    async with Bus(place.another(), publish_only=True) as bus:
        return await bus.remove_group(group)


async def test_ids_with_more_digits_than_lua_keeps_are_compared_right(place: Place) -> None:
    ids = ["1000-9007199254740993", "1000-9007199254740995", "1000-9007199254740997"]
    place.fill(*ids)
    place.group("a", read=3, acked=1)
    await place.retention.round()
    assert place.ids() == ids[1:]


async def test_what_goes_is_what_the_bus_has_handled(redis_server: RedisServer) -> None:
    async with opened(redis_server, "retention=50ms") as place:
        seen = Seen()
        bus = Bus(place.transport, service="shop")
        bus.add(noting(seen), "orders.placed", group="billing")
        async with up(bus):
            for number in range(5):
                await bus.publish("orders.placed", number)
            assert await seen.count(5) == [0, 1, 2, 3, 4]
            await rounds_until(place, lambda: place.ids() == [])
        assert place.retention.removed == 5


async def test_without_a_retention_nothing_goes(redis_server: RedisServer) -> None:
    async with opened(redis_server, "lease=60s") as place:
        place.fill(*OLD)
        place.group("a", read=250, acked=250)
        await place.retention.round()
        assert place.ids() == OLD


async def test_every_shard_is_looked_at(redis_server: RedisServer) -> None:
    async with opened(redis_server, "retention=1h&shards=3") as place:
        keys = place.transport.keys
        redis_server.command("SADD", keys.channels, "orders")
        streams = [keys.stream("orders", shard) for shard in range(3)]
        for place.stream in streams:
            for id in OLD[:3]:
                redis_server.command("XADD", place.stream, id, "event", "{}")
            place.group("a", read=3, acked=3)
        await place.retention.round()
        assert [redis_server.command("XLEN", stream) for stream in streams] == [0, 0, 0]


async def test_what_a_pipeline_cannot_take_at_once_goes_in_turns(place: Place) -> None:
    many = [f"{1000 + number}-0" for number in range(25_000)]
    place.server.command("SADD", place.transport.keys.channels, "orders")
    for first in range(0, len(many), 5000):
        script = "for i = 1, #ARGV do redis.call('XADD', KEYS[1], ARGV[i], 'event', '{}') end"
        place.server.command("EVAL", script, 1, place.stream, *many[first : first + 5000])
    place.group("a")
    place.server.command("XGROUP", "SETID", place.stream, "a", many[-2])
    await place.retention.round()
    assert place.ids() == many[-1:]


# --- who does it ----------------------------------------------------------------------------------


async def test_of_many_processes_one_does_a_round(place: Place) -> None:
    others = [Retention(place.transport._topology, place.transport.keys, place.transport.options)]  # pyright: ignore[reportPrivateUsage]
    took = [await each._is_ours("me") for each in (place.retention, *others)]  # pyright: ignore[reportPrivateUsage]
    assert took == [True, False]


async def test_a_listening_process_does_it_by_itself(redis_server: RedisServer) -> None:
    async with opened(redis_server, "retention=100ms") as place:
        seen = Seen()
        bus = Bus(place.transport, service="shop")
        bus.add(noting(seen), "orders.placed", group="billing")
        async with up(bus):
            await bus.publish("orders.placed", 1)
            with anyio.fail_after(PATIENCE):
                while place.retention.removed == 0:
                    await anyio.sleep(0.02)
        assert place.ids() == []


# --- who stands in the way ------------------------------------------------------------------------


async def test_a_dead_group_is_named_once_with_the_command_that_removes_it(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    bus = Bus(place.another(), service="shop")
    bus.add(noting(Seen()), "orders.placed", group="billing")
    async with up(bus):
        pass
    place.fill(*OLD)
    await place.retention.round()
    await place.retention.round()
    (line,) = warnings(caplog)
    assert "nobody listens in group 'billing'" in line
    assert "await bus.remove_group('billing')" in line
    assert await bus_removed(place, "billing")
    place.group("reporting", read=250, acked=250)
    await place.retention.round()
    assert place.ids() == []


async def test_a_living_group_that_is_behind_is_named_as_that(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(redis_server, "retention=50ms") as place:
        entered, leave = anyio.Event(), anyio.Event()
        bus = Bus(place.transport, service="shop")

        @bus.subscribe("orders.placed", group="slow")
        async def handle(data: object) -> None:
            entered.set()
            await leave.wait()

        async with up(bus):
            await bus.publish("orders.placed", 1)
            await entered.wait()
            await rounds_until(place, lambda: bool(warnings(caplog)))
            (line,) = warnings(caplog)
            assert "group 'slow' is behind" in line
            assert "remove_group" not in line
            leave.set()
        assert len(place.ids()) == 1


# --- groups that end with their process -----------------------------------------------------------


async def test_a_broadcast_group_whose_process_died_is_removed_after_ten_leases(
    redis_server: RedisServer,
) -> None:
    async with opened(redis_server, "lease=60s") as place:
        died = place.another()
        bus = Bus(died, service="shop")
        bus.add(noting(Seen()), "orders.placed", broadcast=True)
        async with up(bus):
            (group,) = await place.retention.registered()
            for feed in list(died.feeds):
                await feed.listening.die()
            keys = place.transport.keys
            redis_server.command("DEL", keys.members(group))
            await place.retention.round()
            assert redis_server.command("HKEYS", keys.absent) == [group]
            assert list(await place.retention.registered()) == [group], "not yet"
            redis_server.command("HINCRBY", keys.absent, group, -601)
            await place.retention.round()
            assert redis_server.command("HKEYS", keys.groups) == []
            assert redis_server.command("XINFO", "GROUPS", place.stream) == []
            assert redis_server.command("EXISTS", keys.absent) == 0


async def test_a_broadcast_group_that_lives_stays(redis_server: RedisServer) -> None:
    async with opened(redis_server, "lease=60s") as place:
        bus = Bus(place.another(), service="shop")
        bus.add(noting(Seen()), "orders.placed", broadcast=True)
        async with up(bus):
            (group,) = await place.retention.registered()
            keys = place.transport.keys
            redis_server.command("HSET", keys.absent, group, 1)
            await place.retention.round()
            assert redis_server.command("EXISTS", keys.absent) == 0, "it was seen again"
            assert list(await place.retention.registered()) == [group]


async def test_a_durable_group_without_a_member_stays(redis_server: RedisServer) -> None:
    async with opened(redis_server, "lease=60s") as place:
        bus = Bus(place.another(), service="shop")
        bus.add(noting(Seen()), "orders.placed", group="billing")
        async with up(bus):
            pass
        redis_server.command("HSET", place.transport.keys.absent, "billing", 1)
        await place.retention.round()
        assert list(await place.retention.registered()) == ["billing"]


async def test_a_group_that_begins_to_read_every_channel_while_it_runs_keeps_all(
    place: Place,
) -> None:
    bus = Bus(place.another(), service="audit")
    bus.add(noting(Seen()), "users.*", group="audit")
    async with up(bus):
        assert not (await place.retention.registered())["audit"].everywhere
        bus.add(noting(Seen()), "*", "*.*", group="audit")
        with anyio.fail_after(PATIENCE):
            while not (await place.retention.registered())["audit"].everywhere:
                await anyio.sleep(0.01)
