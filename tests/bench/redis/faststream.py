"""FastStream's broker for Redis, with its logging switched off and everything else as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import msgspec
from faststream.redis import RedisBroker, StreamSub
from redis.asyncio import Redis

from tests.bench.brokers.events import GROUP, STREAM, Noted, Stopwatch, noted
from tests.bench.brokers.pace import Latency, paced
from tests.bench.measure import quiet_heap

__all__ = ["consume", "consume_batches", "latency", "pipeline", "publish", "publish_tasks"]

BATCH = 100
TASKS = 100


def made(count: int) -> list[dict[str, Any]]:
    return [msgspec.structs.asdict(each) for each in noted(count)]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Any]:
    broker = RedisBroker(url, logger=None)
    async with broker:
        yield broker


async def send_piped(broker: Any, redis: Any, events: list[Any]) -> None:
    for start in range(0, len(events), BATCH):
        pipe = redis.pipeline(transaction=False)
        for each in events[start : start + BATCH]:
            await broker.publish(each, stream=STREAM, pipeline=pipe)
        await pipe.execute()


def reading(*, batch: bool) -> Any:
    return StreamSub(
        STREAM, group=GROUP, consumer="faststream", last_id="0", max_records=BATCH, batch=batch
    )


async def _consume(url: str, count: int, watch: Stopwatch, handle: Any, *, batch: bool) -> float:
    async with opened(url) as broker, Redis.from_url(url) as redis:
        broker.subscriber(stream=reading(batch=batch))(handle)
        await send_piped(broker, redis, made(count + count // 10))
        quiet_heap()
        await broker.start()
        await watch.done.wait()
    return watch.seconds_each


async def consume(url: str, count: int) -> float:
    """One call of the handler for each event, and one acknowledgement."""
    watch = Stopwatch(count // 10, count)

    async def handle(event: dict[str, Any]) -> None:
        watch.handled += 1
        if watch.handled == watch.next:
            watch.mark()

    return await _consume(url, count, watch, handle, batch=False)


async def consume_batches(url: str, count: int) -> float:
    """One call of the handler for a hundred events, and one acknowledgement."""
    watch = Stopwatch(count // 10, count)

    async def handle(events: list[dict[str, Any]]) -> None:
        watch.passed(len(events))

    return await _consume(url, count, watch, handle, batch=True)


async def publish(url: str, count: int) -> float:
    events = made(count)
    async with opened(url) as broker:
        quiet_heap()
        started = perf_counter()
        for each in events:
            await broker.publish(each, stream=STREAM)
        return (perf_counter() - started) / count


async def publish_tasks(url: str, count: int) -> float:
    events = made(count)

    async def work(broker: Any, first: int) -> None:
        for each in events[first::TASKS]:
            await broker.publish(each, stream=STREAM)

    async with opened(url) as broker:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(TASKS):
                tasks.create_task(broker.ping(timeout=5.0))
        quiet_heap()
        started = perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for first in range(TASKS):
                tasks.create_task(work(broker, first))
        return (perf_counter() - started) / count


async def pipeline(url: str, count: int) -> float:
    events = made(count)
    async with opened(url) as broker, Redis.from_url(url) as redis:
        await redis.ping()
        quiet_heap()
        started = perf_counter()
        await send_piped(broker, redis, events)
        return (perf_counter() - started) / count


async def latency(url: str, rate: float, seconds: float) -> Latency:
    taken: list[float] = []

    async def handle(event: dict[str, Any]) -> None:
        taken.append(perf_counter() - event["at"])

    async with opened(url) as broker:
        broker.subscriber(stream=reading(batch=False))(handle)
        await broker.start()

        async def send(event: Noted) -> None:
            await broker.publish(msgspec.structs.asdict(event), stream=STREAM)

        return await paced(send, taken, rate, seconds)
