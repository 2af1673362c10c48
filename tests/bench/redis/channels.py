"""A thousand channels, all full, and one group that listens to them by a hundred patterns."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import Redis

from busway import Bus
from tests.bench.brokers.busway import counting, send_many
from tests.bench.brokers.events import GROUP, Item, Stopwatch, noted
from tests.bench.brokers.table import rate
from tests.bench.brokers.timing import Run, interleave
from tests.bench.figures import Goal, Section
from tests.bench.measure import Settings, Spread, quiet_heap, run_on
from tests.bench.redis.timing import emptied, emptying
from tests.servers import RedisServer

__all__ = ["measure"]

CHANNELS = 1_000
PATTERNS = 100
IN_FLIGHT = 1_000
COST = Goal(3.0)
AHEAD = Goal(3.0 * IN_FLIGHT)
ONE, MANY = "one channel", f"{CHANNELS:,} channels, {PATTERNS} patterns"


async def fill(url: str, count: int, channels: int) -> None:
    events = noted(count)
    async with Bus(url, service="bench", publish_only=True) as bus:
        topics = [f"c{number}.k{number % PATTERNS}" for number in range(channels)]
        sealed = [
            bus.envelope(topics[number % channels], each) for number, each in enumerate(events)
        ]
        await send_many(bus, sealed)


def listening(url: str, handle: Any, channels: int) -> Bus:
    bus = Bus(url, service="bench", max_in_flight=IN_FLIGHT)
    patterns = [f"*.k{number}" for number in range(min(PATTERNS, channels))]
    bus.add(handle, *patterns, group=GROUP)
    return bus


async def consume(url: str, count: int, channels: int) -> float:
    watch = Stopwatch(count // 10, count)
    await fill(url, count + count // 10, channels)
    bus = listening(url, counting(watch, Item), channels)
    quiet_heap()
    async with bus:
        await watch.done.wait()
    return watch.seconds_each


async def fetched_ahead(url: str) -> int:
    """What the process holds of ten thousand waiting events while its handler does not return."""
    await fill(url, 10_000, CHANNELS)
    go_on = asyncio.Event()

    async def hold(event: Item) -> None:
        await go_on.wait()

    async with listening(url, hold, CHANNELS), Redis.from_url(url, decode_responses=True) as redis:
        held = await _settled(redis)
        go_on.set()
    return held


async def _settled(redis: Any) -> int:
    """What is pending, once it does not grow any more."""
    before, same = 0, 0
    while same < 4:
        await asyncio.sleep(0.25)
        now = await _pending(redis)
        same = same + 1 if now == before and now > 0 else 0
        before = now
    return before


async def _pending(redis: Any) -> int:
    pipe = redis.pipeline(transaction=False)
    for number in range(CHANNELS):
        pipe.xpending(f"busway:{{c{number}}}", GROUP)
    answers = await pipe.execute(raise_on_error=False)
    return sum(each["pending"] for each in answers if isinstance(each, dict))


def measure(section: Section, server: RedisServer, settings: Settings) -> None:
    one = Run(ONE, lambda url, count: consume(url, count, 1))
    many = Run(MANY, lambda url, count: consume(url, max(count, 10 * CHANNELS), CHANNELS))
    interleave(emptying(server), [one, many], settings)
    section.add(
        (f"{MANY}: cost per event", "Busway", ONE),
        many.spread.over(one.spread), COST, rate(many.spread),
    )  # fmt: skip
    held = [run_on("asyncio", fetched_ahead, emptied(server)) for _ in range(settings.repeats)]
    section.add(
        (f"{MANY}: held at most", "Busway", ""), Spread(tuple(held)), AHEAD, unit="events",
    )  # fmt: skip
