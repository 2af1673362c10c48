"""Busway on Redis with nothing switched off: envelope, id, time, retries, dead letters, leases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

from busway import Batch, Bus
from tests.bench.measure import quiet_heap
from tests.bench.redis.events import GROUP, Item, Noted, Stopwatch, noted
from tests.bench.redis.pace import Latency, paced

__all__ = [
    "consume",
    "consume_batches",
    "consume_by_hundreds",
    "groups",
    "latency",
    "publish",
    "publish_many",
    "publish_tasks",
]

BATCH = 100
MANY = 1_000
TASKS = 100
PATTERN = "bench.*"


@asynccontextmanager
async def publishing(url: str) -> AsyncIterator[Bus]:
    async with Bus(url, service="bench", publish_only=True) as bus:
        yield bus


async def fill(url: str, events: Sequence[Any]) -> None:
    async with publishing(url) as bus:
        await send_many(bus, events)


async def send_many(bus: Bus, events: Sequence[Any]) -> None:
    for start in range(0, len(events), MANY):
        await bus.publish_many(events[start : start + MANY])


def counting(watch: Stopwatch, kind: type[Item] = Noted) -> Any:
    async def handle(event: Any) -> None:
        watch.handled += 1
        if watch.handled == watch.next:
            watch.mark()

    handle.__annotations__ = {"event": kind}
    return handle


async def _consume(url: str, count: int, **options: Any) -> float:
    watch = Stopwatch(count // 10, count)
    await fill(url, noted(count + count // 10))
    bus = Bus(url, service="bench", **options)
    bus.add(counting(watch), PATTERN, group=GROUP)
    quiet_heap()
    async with bus:
        await watch.done.wait()
    return watch.seconds_each


async def consume(url: str, count: int) -> float:
    """One call of the handler for each event, everything as it comes."""
    return await _consume(url, count)


async def consume_by_hundreds(url: str, count: int) -> float:
    """The same, where no more than a hundred are in flight, and so read at once."""
    return await _consume(url, count, max_in_flight=BATCH)


async def consume_batches(url: str, count: int) -> float:
    """One call of the handler for up to a hundred events."""
    watch = Stopwatch(count // 10, count)

    async def handle(events: list[Noted]) -> None:
        watch.passed(len(events))

    await fill(url, noted(count + count // 10))
    bus = Bus(url, service="bench")
    bus.add(handle, PATTERN, group=GROUP, batch=Batch(BATCH, within=0.01))
    quiet_heap()
    async with bus:
        await watch.done.wait()
    return watch.seconds_each


async def groups(url: str, count: int, many: int) -> float:
    """Seconds per delivery, where each of many groups in this process gets every event."""
    each = count // many
    watches = [Stopwatch(each // 10, each) for _ in range(many)]
    await fill(url, noted(each + each // 10))
    bus = Bus(url, service="bench")
    for number, watch in enumerate(watches):
        bus.add(counting(watch), PATTERN, group=f"group-{number}")
    quiet_heap()
    async with bus:
        return await Stopwatch.all_done(watches)


async def publish(url: str, count: int) -> float:
    """One task that awaits each."""
    events = noted(count)
    async with publishing(url) as bus:
        await bus.publish(events[0])
        quiet_heap()
        started = perf_counter()
        for each in events:
            await bus.publish(each)
        return (perf_counter() - started) / count


async def publish_tasks(url: str, count: int) -> float:
    """A hundred tasks, each of which awaits each of its own."""
    events = noted(count)

    async def work(bus: Bus, first: int) -> None:
        for each in events[first::TASKS]:
            await bus.publish(each)

    async with publishing(url) as bus:
        await bus.publish(events[0])
        quiet_heap()
        started = perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for first in range(TASKS):
                tasks.create_task(work(bus, first))
        return (perf_counter() - started) / count


async def publish_many(url: str, count: int) -> float:
    """A thousand at a time."""
    events = noted(count)
    async with publishing(url) as bus:
        await bus.publish(events[0])
        quiet_heap()
        started = perf_counter()
        await send_many(bus, events)
        return (perf_counter() - started) / count


async def latency(url: str, rate: float, seconds: float) -> Latency:
    taken: list[float] = []

    async def handle(event: Noted) -> None:
        taken.append(perf_counter() - event.at)

    bus = Bus(url, service="bench")
    bus.add(handle, PATTERN, group=GROUP)
    async with bus:
        return await paced(bus.publish, taken, rate, seconds)
