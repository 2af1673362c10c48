"""In order per key, different keys side by side, whatever each takes and however often it fails."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from busway import Backoff, Bus, Message, Retry
from tests.facts import LeapingClock, Seen, quick, turns, until, up

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("concurrency", [1, 2, 8])
@pytest.mark.parametrize("seed", [1, 2])
async def test_each_key_is_in_order_under_random_delays_and_failures(
    concurrency: int, seed: int
) -> None:
    chance = random.Random(seed)
    bus = Bus(retry=quick(50))
    done, running = Seen(), defaultdict(int)

    @bus.subscribe("a.b", group="g", concurrency=concurrency)
    async def handle(data: int, message: Message[Any]) -> None:
        running[message.key] += 1
        assert running[message.key] == 1, "two of one key side by side"
        try:
            for _ in range(chance.randrange(4)):
                await anyio.lowlevel.checkpoint()
            if chance.random() < 0.2:
                raise ValueError("no")
        finally:
            running[message.key] -= 1
        done.add((message.key, data))

    async with up(bus):
        for n in range(200):
            await bus.publish("a.b", n, key=str(n % 7))
        await done.count(200)
    for key in map(str, range(7)):
        mine = [n for k, n in done.items if k == key]
        assert mine == sorted(mine)
        assert len(mine) == len(set(mine))


async def test_different_keys_run_side_by_side() -> None:
    bus, running, leave = Bus(), Seen(), anyio.Event()

    @bus.subscribe("a.b", concurrency=3)
    async def handle(data: Any) -> None:
        running.add(data)
        await leave.wait()

    async with up(bus):
        for key in "aabbcc":
            await bus.publish("a.b", key, key=key)
        await running.count(3)
        assert sorted(running.items) == ["a", "b", "c"]
        leave.set()


async def test_events_without_a_key_are_bound_to_no_other() -> None:
    bus, running, leave = Bus(), Seen(), anyio.Event()

    @bus.subscribe("a.b", concurrency=3)
    async def handle(data: Any) -> None:
        running.add(data)
        await leave.wait()

    async with up(bus):
        for n in range(3):
            await bus.publish("a.b", n)
        await running.count(3)
        leave.set()


async def test_no_more_run_at_once_than_concurrency() -> None:
    bus, most, running, done = Bus(), 0, 0, Seen()

    @bus.subscribe("a.b", concurrency=3)
    async def handle(data: Any) -> None:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await anyio.lowlevel.checkpoint()
        running -= 1
        done.add(data)

    async with up(bus):
        for n in range(50):
            await bus.publish("a.b", n)
        await done.count(50)
    assert most == 3


async def test_order_by_key_keeps_even_an_hours_wait_in_its_lane() -> None:
    clock, seen = LeapingClock(), Seen()
    backoff = Backoff(3600.0, cap=3600.0, jitter="none")
    bus = Bus(clock=clock, retry=Retry(2, backoff))

    @bus.subscribe("a.b", group="g", order="key", concurrency=2)
    async def handle(data: Any, message: Message[Any]) -> None:
        seen.add((data, message.attempt))
        if data == "fails" and message.attempt == 1:
            raise ValueError("no")

    async with up(bus):
        await bus.publish("a.b", "fails", key="one")
        await bus.publish("a.b", "behind", key="one")
        await bus.publish("a.b", "free", key="two")
        await seen.count(2)
        await until(lambda: bus.stats().groups[0].waiting == 1)
        await turns()
        assert ("behind", 1) not in seen.items
        clock.leap(3600)
        await seen.count(4)
    assert seen.items[2:] == [("fails", 2), ("behind", 1)]


async def test_a_dead_letter_lets_the_next_of_its_key_pass() -> None:
    bus, seen = Bus(retry=quick(2)), Seen()

    @bus.subscribe("a.b", group="g", concurrency=2)
    async def handle(data: int) -> None:
        seen.add(data)
        if data == 0:
            raise ValueError("no")

    async with up(bus):
        for n in range(3):
            await bus.publish("a.b", n, key="k")
        await bus.drain()
    assert seen.items == [0, 0, 1, 2]
