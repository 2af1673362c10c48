"""Whoever publishes or consumes is cancelled at any moment: nothing is left open, nothing is lost.

What is counted is what this process has. A broker keeps a connection that was closed for as long as
somebody who was hung up on is to be answered there.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from busway import Bus
from tests.faults._town import PATIENCE, town
from tests.servers import KafkaServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

SEED = 11
KINDS = 3


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    with started_or_skip(KafkaServer) as server:
        yield server


def counts() -> tuple[int, int]:
    """Tasks and files of this process; its connections are among these."""
    gc.collect()
    place = Path("/proc/self/fd")
    return len(asyncio.all_tasks()), len(os.listdir(place)) if place.exists() else 0


async def back_to(before: tuple[int, int]) -> None:
    """But for a connection to the broker that was asked for the first time meanwhile, with its
    task: there is one for each kind of question."""
    until = time.monotonic() + PATIENCE
    while not _no_more((now := counts()), before):
        assert time.monotonic() < until, f"{now}, and {before} before"
        await asyncio.sleep(0.02)


def _no_more(now: tuple[int, int], before: tuple[int, int]) -> bool:
    return all(many <= less + KINDS for many, less in zip(now, before, strict=True))


async def test_publishing_that_is_cancelled_anywhere_leaves_the_bus_as_it_was(
    server: KafkaServer, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(SEED)
    sure: set[str] = set()
    async with town(server, request) as here:
        await here.at_the_end()
        outer = counts()
        async with Bus(here.url, service="shop", publish_only=True) as bus:
            await bus.publish("red.done", {"name": "warm"})
            inner = counts()
            for number in range(1000):
                # Shorter and longer than a publish takes, on a slow machine and on a quick one.
                with anyio.move_on_after(chance.random() ** 3 * 0.05):
                    await bus.publish("red.done", {"name": f"n{number}"})
                    sure.add(f"n{number}")
            await bus.publish("red.done", {"name": "last"})
            await back_to(inner)
        await back_to(outer)
        assert 100 < len(sure) < 1000, "some were cancelled, some were not"
        lies = Counter(await here.written())
        assert {lies[name] for name in sure} == {1}
        assert set(lies.values()) == {1}
        await here.handled([*lies])
        assert Counter(here.seen) == lies


async def test_a_consumer_that_is_cancelled_anywhere_leaves_nothing_open_and_loses_nothing(
    server: KafkaServer, request: pytest.FixtureRequest
) -> None:
    """Each of many is cancelled while it starts, joins, handles, commits, lets go or leaves."""
    chance = random.Random(SEED)
    names: list[str] = []
    async with town(server, request, partitions="2") as here:
        await here.at_the_end()
        before = counts()
        for number in range(40):
            mine = [f"{number}.{each}" for each in range(5)]
            names += mine
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(here.publish, *mine)
                with anyio.move_on_after(chance.random() * 0.2):
                    async with here.another():
                        await anyio.sleep_forever()
        await here.handled(names)
        await here.at_the_end()
        await back_to(before)
