"""A stream that may grow no longer: what is handled goes first, then it refuses, or drops."""

from __future__ import annotations

import asyncio
import logging

import anyio
import pytest

from busway import Bus
from busway.errors import PublishError
from busway_redis._capping import Capped
from tests.facts import PATIENCE, Seen, letters, noting, quick, up
from tests.servers import RedisServer

from .test_retention import Place, opened, warnings

pytestmark = pytest.mark.anyio

FILL = "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'event', '{}') end"


def capped(place: Place) -> Capped:
    found = place.transport.publishing.capped
    assert found is not None
    return found


async def published(place: Place, *numbers: int) -> list[bool]:
    """Which of them were not refused for want of room."""
    taken: list[bool] = []
    async with Bus(place.transport, publish_only=True) as bus:
        for number in numbers:
            try:
                await bus.publish("orders.placed", number)
            except PublishError as error:
                taken.append("is full (max_length=" not in str(error))
            else:
                taken.append(True)
    return taken


def calls(server: RedisServer, command: str) -> int:
    said = server.info("commandstats").get(f"cmdstat_{command}", "calls=0,")
    return int(said.removeprefix("calls=").partition(",")[0])


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for line in warnings(caplog) if "max_length" in line or "dropped" in line]


# --- refuse ---------------------------------------------------------------------------------------


async def test_a_full_stream_refuses_and_names_who_holds_it(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(redis_server, "max_length=3") as place:
        place.fill()
        redis_server.command("XGROUP", "CREATE", place.stream, "slow", "0", "MKSTREAM")
        assert await published(place, 1, 2, 3, 4, 5) == [True, True, True, False, False]
        assert len(place.ids()) == 3
        assert capped(place).refused == 2
        (line,) = warnings(caplog)
        assert "max_length=3, not handled by 'slow'" in line
        redis_server.command("XGROUP", "DESTROY", place.stream, "slow")
        place.group("quick", read=3, acked=3)
        with anyio.fail_after(PATIENCE):
            while await published(place, 6) == [False]:  # it is not looked at again at once
                pass
        _, line = warnings(caplog)
        assert "has room again" in line


async def test_what_was_handled_makes_room(redis_server: RedisServer) -> None:
    async with opened(redis_server, "max_length=3") as place:
        seen = Seen()
        bus = Bus(place.transport, service="shop")
        bus.add(noting(seen), "orders.placed", group="billing")
        async with up(bus):
            for number in range(20):
                await bus.publish("orders.placed", number)
                assert await seen.count(number + 1)
                await bus.drain()
        assert len(place.ids()) <= 3
        assert capped(place).refused == 0


async def test_many_publishers_together_stay_below_the_length(redis_server: RedisServer) -> None:
    async with opened(redis_server, "max_length=50") as place:
        redis_server.command("XGROUP", "CREATE", place.stream, "slow", "0", "MKSTREAM")
        many = [place.another() for _ in range(3)]
        buses = [Bus(each, publish_only=True) for each in many]
        for bus in buses:
            await bus.start()
        sent = [bus.publish("orders.placed", n) for n in range(40) for bus in buses]
        told = await asyncio.gather(*sent, return_exceptions=True)
        for bus in buses:
            await bus.stop()
        assert len(place.ids()) == 50
        assert sum(not isinstance(each, BaseException) for each in told) == 50
        assert all(isinstance(each, PublishError) for each in told if isinstance(each, Exception))


async def test_a_long_history_goes_a_part_at_a_time(redis_server: RedisServer) -> None:
    async with opened(redis_server, "max_length=2000") as place:
        place.fill(*(f"{1000 + number}-0" for number in range(2000)))
        place.group("quick", read=2000, acked=2000)
        assert await published(place, 1) == [True]
        assert 1700 <= len(place.ids()) < 2000


async def test_a_server_that_forgot_the_script_gets_it_again(redis_server: RedisServer) -> None:
    async with opened(redis_server, "max_length=100") as place:
        assert await published(place, 1) == [True]
        redis_server.command("SCRIPT", "FLUSH")
        assert await published(place, 2, 3) == [True, True]
        assert len(place.ids()) == 3


async def test_where_there_is_ample_room_events_are_added_without_a_script(
    redis_server: RedisServer,
) -> None:
    async with opened(redis_server, "max_length=1000000") as place:
        assert await published(place, 1)
        before = calls(redis_server, "evalsha")
        assert all(await published(place, *range(200)))
        assert calls(redis_server, "evalsha") - before < 100, "one now and then"


async def test_ample_room_that_is_used_up_is_noticed(redis_server: RedisServer) -> None:
    async with opened(redis_server, "max_length=110000") as place:
        redis_server.command("XGROUP", "CREATE", place.stream, "slow", "0", "MKSTREAM")
        assert await published(place, 1, 2, 3) == [True] * 3
        redis_server.command("EVAL", FILL, 1, place.stream, 110_000)
        with anyio.fail_after(PATIENCE):
            while await published(place, 4) == [True]:
                pass
        assert len(place.ids()) < 111_000


async def test_only_streams_of_events_are_capped(redis_server: RedisServer) -> None:
    """What a group has still to do is not refused because much is published."""
    async with opened(redis_server, "max_length=1") as place:
        bus = Bus(place.another(), service="shop", retry=quick(1))

        @bus.subscribe("orders.placed", group="billing")
        async def handle(data: int) -> None:
            raise ValueError(data)

        async with up(bus):
            for number in range(3):
                await bus.publish("orders.placed", number)
                await letters(bus, "billing", number + 1)
                await bus.drain()


# --- drop_oldest ----------------------------------------------------------------------------------


async def test_the_oldest_is_dropped_counted_and_logged_once(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(redis_server, "max_length=3&on_full=drop_oldest") as place:
        redis_server.command("XGROUP", "CREATE", place.stream, "slow", "0", "MKSTREAM")
        assert await published(place, *range(10)) == [True] * 10
        assert len(place.ids()) == 3
        assert capped(place).dropped == 7
        (line,) = errors(caplog)
        assert "the oldest is dropped" in line
        place.server.command("XGROUP", "SETID", place.stream, "slow", "$")
        assert await published(place, 11) == [True]
        assert "has room again; 7 dropped" in errors(caplog)[1]


async def test_what_was_handled_is_not_counted_as_dropped(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(redis_server, "max_length=3&on_full=drop_oldest") as place:
        place.fill("1-0", "2-0", "3-0")
        place.group("quick", read=3, acked=3)
        assert await published(place, 1, 2, 3) == [True] * 3
        assert capped(place).dropped == 0
        assert warnings(caplog) == []


@pytest.fixture(autouse=True)
def _listen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "busway.redis")
