"""redis-py, the way its documentation writes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import msgspec
from redis.asyncio import Redis

from tests.bench.brokers.events import GROUP, STREAM, Noted, Stopwatch, packed
from tests.bench.brokers.pace import Latency, paced
from tests.bench.measure import quiet_heap

__all__ = [
    "BATCH",
    "consume",
    "consume_and_call",
    "consume_tuned",
    "groups",
    "latency",
    "pipeline",
    "publish",
    "publish_tasks",
]

BATCH = 100
TUNED = {"protocol": 2, "socket_timeout": None}
TASKS = 100
_decoder = msgspec.json.Decoder(Noted)

Take = Callable[[list[Any]], Any]


@asynccontextmanager
async def client(url: str, **options: Any) -> AsyncIterator[Any]:
    async with Redis.from_url(url, **options) as redis:
        yield redis


async def fill(redis: Any, payloads: list[bytes]) -> None:
    for start in range(0, len(payloads), 1_000):
        pipe = redis.pipeline(transaction=False)
        for payload in payloads[start : start + 1_000]:
            pipe.xadd(STREAM, {"data": payload})
        await pipe.execute()


async def loop(redis: Any, group: str, watch: Stopwatch) -> None:
    """The loop all are measured by: it counts, decodes nothing and calls nobody."""
    while not watch.done.is_set():
        answer = await redis.xreadgroup(group, "raw", {STREAM: ">"}, count=BATCH, block=1_000)
        for stream, entries in answer:
            await redis.xack(stream, group, *(id for id, _ in entries))
            watch.passed(len(entries))


async def calling_loop(redis: Any, group: str, watch: Stopwatch) -> None:
    """The same, but every event is decoded and given to a handler."""

    async def handle(event: Noted) -> None:
        watch.handled += 1
        if watch.handled == watch.next:
            watch.mark()

    decode = _decoder.decode
    while not watch.done.is_set():
        answer = await redis.xreadgroup(group, "raw", {STREAM: ">"}, count=BATCH, block=1_000)
        for stream, entries in answer:
            for _, fields in entries:
                await handle(decode(fields[b"data"]))
            await redis.xack(stream, group, *(id for id, _ in entries))


async def _consume(url: str, count: int, how: Any, **options: Any) -> float:
    watch = Stopwatch(count // 10, count)
    async with client(url, **options) as redis:
        await fill(redis, packed(count + count // 10))
        await redis.xgroup_create(STREAM, GROUP, "0")
        quiet_heap()
        await how(redis, GROUP, watch)
    return watch.seconds_each


async def consume(url: str, count: int) -> float:
    return await _consume(url, count, loop)


async def consume_tuned(url: str, count: int) -> float:
    """With RESP2 and no timeout on its socket, which redis-py is quickest with."""
    return await _consume(url, count, loop, **TUNED)


async def consume_and_call(url: str, count: int) -> float:
    return await _consume(url, count, calling_loop)


async def groups(url: str, count: int, many: int) -> float:
    """Seconds per delivery: each group reads over a connection of its own."""
    each = count // many
    watches = [Stopwatch(each // 10, each) for _ in range(many)]
    async with client(url) as redis:
        await fill(redis, packed(each + each // 10))
        for number in range(many):
            await redis.xgroup_create(STREAM, f"group-{number}", "0")
        quiet_heap()
        async with asyncio.TaskGroup() as tasks:
            for number, watch in enumerate(watches):
                tasks.create_task(loop(redis, f"group-{number}", watch))
            return await Stopwatch.all_done(watches)


async def publish(url: str, count: int) -> float:
    """One task that awaits each."""
    payloads = packed(count)
    async with client(url) as redis:
        await redis.ping()
        quiet_heap()
        started = perf_counter()
        for payload in payloads:
            await redis.xadd(STREAM, {"data": payload})
        return (perf_counter() - started) / count


async def publish_tasks(url: str, count: int) -> float:
    """A hundred tasks, each of which awaits each of its own."""
    payloads = packed(count)

    async def work(redis: Any, first: int) -> None:
        for payload in payloads[first::TASKS]:
            await redis.xadd(STREAM, {"data": payload})

    async with client(url) as redis:
        async with asyncio.TaskGroup() as tasks:  # every connection is made beforehand
            for _ in range(TASKS):
                tasks.create_task(redis.ping())
        quiet_heap()
        started = perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for first in range(TASKS):
                tasks.create_task(work(redis, first))
        return (perf_counter() - started) / count


async def pipeline(url: str, count: int) -> float:
    payloads = packed(count)
    async with client(url) as redis:
        await redis.ping()
        quiet_heap()
        started = perf_counter()
        for start in range(0, count, BATCH):
            pipe = redis.pipeline(transaction=False)
            for payload in payloads[start : start + BATCH]:
                pipe.xadd(STREAM, {"data": payload})
            await pipe.execute()
        return (perf_counter() - started) / count


async def latency(url: str, rate: float, seconds: float) -> Latency:
    """From before XADD to the entry decoded by a blocking loop."""
    taken: list[float] = []
    decode = _decoder.decode
    async with client(url) as redis, client(url) as reader:
        await redis.xgroup_create(STREAM, GROUP, "0", mkstream=True)

        async def read() -> None:
            while True:
                answer = await reader.xreadgroup(
                    GROUP, "raw", {STREAM: ">"}, count=BATCH, block=1_000
                )
                for stream, entries in answer:
                    for _, fields in entries:
                        taken.append(perf_counter() - decode(fields[b"data"]).at)
                    await reader.xack(stream, GROUP, *(id for id, _ in entries))

        async def send(event: Noted) -> None:
            await redis.xadd(STREAM, {"data": msgspec.json.encode(event)})

        reading = asyncio.create_task(read())
        try:
            return await paced(send, taken, rate, seconds)
        finally:
            while not reading.done():
                # The client loses a cancellation that comes together with a time-out of its own.
                reading.cancel()
                await asyncio.wait([reading], timeout=1)
