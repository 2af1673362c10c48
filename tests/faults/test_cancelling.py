"""Whoever publishes or consumes is cancelled at any moment: nothing is left open, nothing is lost.

The bus is closed by whoever opened it; what is cancelled runs inside.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from busway import Bus, Message, SendError
from tests.servers import RedisServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 20.0
SEED = 11


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with started_or_skip(lambda: RedisServer(fsync=None)) as server:
        yield server


def connections(server: RedisServer) -> int:
    """Of everybody but whoever asks."""
    with server.connect() as connection:
        return len(str(connection.command("CLIENT", "LIST")).strip().splitlines()) - 1


def files() -> int:
    gc.collect()
    place = Path("/proc/self/fd")
    return len(os.listdir(place)) if place.exists() else 0


async def back_to(server: RedisServer, sockets: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(connections, server) != sockets:
            await asyncio.sleep(0.02)


async def test_publishing_that_is_cancelled_anywhere_leaves_the_bus_as_it_was(
    server: RedisServer,
) -> None:
    chance = random.Random(SEED)
    sure: set[str] = set()
    bus = Bus(f"{server.url}?prefix=publish", service="shop", publish_only=True)

    async def publish(name: str) -> None:
        with anyio.move_on_after(chance.random() * 0.002):
            await bus.publish("red.done", {"name": name})
            sure.add(name)

    before_tasks, before_files = len(asyncio.all_tasks()), files()
    async with bus:
        await bus.publish("red.done", {"name": "first"})
        at_rest = await asyncio.to_thread(connections, server)
        running = len(asyncio.all_tasks())
        for number in range(1000):
            await publish(f"n{number}")
        assert 100 < len(sure) < 1000, "some were cancelled, some were not"
        await back_to(server, at_rest)
        await anyio.wait_all_tasks_blocked()
        assert len(asyncio.all_tasks()) == running
        entries = str(server.command("XRANGE", "publish:{red}", "-", "+"))
        counts = {name: entries.count(f'"name":"{name}"') for name in sure}
        assert set(counts.values()) == {1}
    await back_to(server, 0)
    assert (len(asyncio.all_tasks()), files()) == (before_tasks, before_files)


async def test_a_consumer_that_is_cancelled_anywhere_leaves_nothing_open_and_loses_nothing(
    server: RedisServer,
) -> None:
    """Each of many is cancelled while it starts, receives, handles, acknowledges or stops."""
    chance = random.Random(SEED)
    seen: set[str] = set()
    changed = asyncio.Event()
    url = f"{server.url}?prefix=consume&lease=1s"

    async def handle(data: dict[str, str], message: Message[Any]) -> None:
        await anyio.sleep(chance.random() * 0.002)
        seen.add(data["name"])
        changed.set()

    def consumer() -> Bus:
        bus = Bus(url, service="shop")
        bus.add(handle, "red.*", group="see", concurrency=4)
        return bus

    before_tasks, before_files = len(asyncio.all_tasks()), files()
    names: list[str] = []
    async with Bus(url, service="shop", publish_only=True) as publisher:
        await publisher.publish("red.done", {"name": "first"})
        for number in range(60):
            mine = [f"{number}.{each}" for each in range(5)]
            names += mine
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(publish_all, publisher, mine)
                with anyio.move_on_after(chance.random() * 0.06):
                    async with consumer():
                        await anyio.sleep_forever()
        async with consumer(), asyncio.timeout(PATIENCE):
            while not seen.issuperset(names):
                changed.clear()
                await changed.wait()
    await back_to(server, 0)
    assert (len(asyncio.all_tasks()), files()) == (before_tasks, before_files)
    (group,) = [each for each in await _groups(url) if each.name == "see"]
    assert (group.lag, group.pending, group.dead) == (0, 0, 0)


async def publish_all(bus: Bus, names: list[str]) -> None:
    for name in names:
        try:
            await bus.publish("red.done", {"name": name})
        except SendError as error:
            raise AssertionError("nobody cut anything") from error


async def _groups(url: str) -> Any:
    async with Bus(url, service="shop") as bus:
        return await bus.groups()
