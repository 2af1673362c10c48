"""A server whose clock jumps by an hour, under load: leases end early or late, nothing is lost."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import anyio
import anyio.lowlevel
import pytest

from busway import Bus
from tests.facts import quick
from tests.servers import MovedRedis
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

PATIENCE = 30.0
HOUR = 3600
KEYS = 5
EACH = 20
"""Events of each key in one of the three parts: before, between and after the jumps."""


@pytest.fixture
def server() -> Iterator[MovedRedis]:
    with started_or_skip(MovedRedis) as server:
        yield server


async def test_the_clock_of_the_server_alone_is_moved(server: MovedRedis) -> None:
    for hours in (1, -1, 0):
        server.move(hours * HOUR)
        told = server.command("TIME")
        assert isinstance(told, list)
        assert abs(int(str(told[0])) - time.time() - hours * HOUR) < 60


@pytest.mark.parametrize("first", [HOUR, -HOUR], ids=["forward", "back"])
@pytest.mark.parametrize("shards", [1, 4])
async def test_a_clock_that_jumps_by_an_hour_loses_nothing_and_stops_nothing(
    server: MovedRedis, shards: int, first: int
) -> None:
    """There, and back again. Two processes, each played by a bus of its own."""
    prefix, handled = f"t{uuid.uuid4().hex[:8]}", list[tuple[int, int]]()
    url = f"{server.url}?prefix={prefix}&lease=3s&shards={shards}"
    published: list[tuple[int, int]] = []

    async def handle(data: tuple[int, int]) -> None:
        await anyio.lowlevel.checkpoint()
        handled.append((data[0], data[1]))

    one, two = (Bus(url, service="shop", retry=quick(1)) for _ in range(2))
    for bus in (one, two):
        bus.add(handle, "order.*", group="see", concurrency=4)

    async def publish() -> None:
        before = len(published) // KEYS
        for number in range(before, before + EACH):
            for key in range(KEYS):
                each = (key, number)
                published.append(each)
                await one.publish("order.placed", each, key=str(key))

    with anyio.fail_after(PATIENCE):
        async with one, two:
            for moved in (0, first, 0):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(publish)
                    some = len(set(handled)) + EACH
                    while len(set(handled)) < some:
                        await anyio.sleep(0.001)
                    server.move(moved)
                await one.drain()
                await two.drain()
                assert set(handled) == set(published)
            assert await one.dead_letters("see").list() == []
    if shards > 1:
        for key in range(KEYS):
            mine = [each for each in dict.fromkeys(handled) if each[0] == key]
            assert mine == sorted(mine), "in order, whoever handled them"
