"""Busway with nothing switched off: envelope, id, time, retries, dead letters, leases.

``make`` makes the events, all of one class of the topic ``bench.…``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

from busway import Batch, Bus
from tests.bench.brokers.events import GROUP, Item, Noted, Stopwatch, noted
from tests.bench.brokers.pace import Latency, paced
from tests.bench.measure import quiet_heap

__all__ = [
    "consume",
    "consume_batches",
    "consume_by_hundreds",
    "consume_side_by_side",
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

Make = Callable[[int], Sequence[Item]]


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


async def _consume(url: str, count: int, make: Make, concurrency: int = 1, **options: Any) -> float:
    watch = Stopwatch(count // 10, count)
    events = make(count + count // 10)
    await fill(url, events)
    bus = Bus(url, service="bench", **options)
    handle = counting(watch, type(events[0]))
    bus.add(handle, PATTERN, group=GROUP, concurrency=concurrency)
    quiet_heap()
    async with bus:
        await watch.done.wait()
    return watch.seconds_each


async def consume(url: str, count: int, make: Make = noted) -> float:
    """One call of the handler for each event, everything as it comes."""
    return await _consume(url, count, make)


async def consume_by_hundreds(url: str, count: int, make: Make = noted) -> float:
    """The same, where no more than a hundred are in flight, and so read at once."""
    return await _consume(url, count, make, max_in_flight=BATCH)


async def consume_side_by_side(url: str, count: int, make: Make = noted) -> float:
    """The same, where a hundred handlers may run side by side, each key's events in order."""
    return await _consume(url, count, make, TASKS)


async def consume_batches(url: str, count: int, make: Make = noted, size: int = BATCH) -> float:
    """One call of the handler for up to so many events."""
    watch = Stopwatch(count // 10, count)
    events = make(count + count // 10)

    async def handle(events: Any) -> None:
        watch.passed(len(events))

    handle.__annotations__ = {"events": list[type(events[0])]}  # type: ignore[misc]
    await fill(url, events)
    bus = Bus(url, service="bench")
    bus.add(handle, PATTERN, group=GROUP, batch=Batch(size, within=0.01))
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


async def publish(url: str, count: int, make: Make = noted) -> float:
    """One task that awaits each."""
    events = make(count)
    async with publishing(url) as bus:
        await bus.publish_many(events[:BATCH])
        quiet_heap()
        started = perf_counter()
        for each in events:
            await bus.publish(each)
        return (perf_counter() - started) / count


async def publish_tasks(url: str, count: int, make: Make = noted, tasks: int = TASKS) -> float:
    """Many tasks, each of which awaits each of its own."""
    events = make(count)

    async def work(bus: Bus, first: int) -> None:
        for each in events[first::tasks]:
            await bus.publish(each)

    async with publishing(url) as bus:
        await bus.publish_many(events[:BATCH])
        quiet_heap()
        started = perf_counter()
        async with asyncio.TaskGroup() as group:
            for first in range(tasks):
                group.create_task(work(bus, first))
        return (perf_counter() - started) / count


async def publish_many(url: str, count: int, make: Make = noted) -> float:
    """A thousand at a time."""
    events = make(count)
    async with publishing(url) as bus:
        await bus.publish_many(events[:BATCH])
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
