"""The bare hand-offs: a producer, a bounded queue, a consumer, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from tests.bench.rig import Contender, Load, Rig, Tally, plain_events

__all__ = ["BARE", "CONTENDERS"]

SIZE = 1024


async def _take_bare(queue: asyncio.Queue[Any], tally: Tally) -> None:
    get = queue.get
    while True:
        await get()
        tally.handled += 1
        if tally.handled == tally.target:
            tally.done.set()


async def _take(queue: asyncio.Queue[Any], tally: Tally, load: Load) -> None:
    get, handle = queue.get, tally.handler(load.mode)
    while True:
        await handle(await get())


async def _answer_bare(queue: asyncio.Queue[Any], tally: Tally) -> None:
    get = queue.get
    while True:
        await get()
        tally.handled += 1
        if tally.future is not None:
            tally.future.set_result(None)


@asynccontextmanager
async def open_bare_queue(load: Load) -> AsyncIterator[Rig]:
    tally, queue = Tally(), asyncio.Queue[Any](SIZE)
    if load.mode == "latency":
        consumer = asyncio.create_task(_take(queue, tally, load))
    else:
        take = _answer_bare if load.mode == "single" else _take_bare
        consumer = asyncio.create_task(take(queue, tally))
    yield Rig(tally, queue.put, plain_events(load))
    consumer.cancel()


@asynccontextmanager
async def open_queue(load: Load) -> AsyncIterator[Rig]:
    tally, queue = Tally(), asyncio.Queue[Any](SIZE)
    consumer = asyncio.create_task(_take(queue, tally, load))
    yield Rig(tally, queue.put, plain_events(load))
    consumer.cancel()


@asynccontextmanager
async def open_stream(load: Load) -> AsyncIterator[Rig]:
    tally = Tally()
    handle = tally.handler(load.mode)
    sender, receiver = anyio.create_memory_object_stream[Any](SIZE)

    async def take() -> None:
        async for event in receiver:
            await handle(event)

    async with anyio.create_task_group() as tasks, sender, receiver:
        tasks.start_soon(take)
        yield Rig(tally, sender.send, plain_events(load))
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def open_channel(load: Load) -> AsyncIterator[Rig]:
    import trio

    tally = Tally()
    sender, receiver = trio.open_memory_channel[Any](SIZE)
    handle = tally.handler(load.mode)

    async def take() -> None:
        receive = receiver.receive
        while True:
            await receive()
            tally.handled += 1
            if tally.handled == tally.target:
                tally.done.set()

    async def take_and_handle() -> None:
        receive = receiver.receive
        while True:
            await handle(await receive())

    async with trio.open_nursery() as nursery, sender, receiver:
        nursery.start_soon(take if load.mode == "burst" else take_and_handle)
        yield Rig(tally, sender.send, plain_events(load))
        nursery.cancel_scope.cancel()


_queue = Contender("asyncio.Queue", "asyncio", open_bare_queue)
_channel = Contender("trio memory channel", "trio", open_channel)
_stream = Contender("anyio memory stream", "asyncio", open_stream)

BARE = {"asyncio": _queue, "uvloop": _queue.on("uvloop"), "trio": _channel}
CONTENDERS = (
    *BARE.values(),
    Contender("asyncio.Queue + handler", "asyncio", open_queue),
    _stream,
    _stream.on("trio"),
)
