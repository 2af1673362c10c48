"""``python -m tests.bench.memory_of waiting | slow N | topics N``: prints bytes, as JSON.

Each runs in a process of its own, so that a peak is its own.
"""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from tests.bench.subprocesses import peak_bytes

WARM, COUNTED = 200, 800


async def waiting() -> float:
    """Bytes that an event in a mailbox holds beside itself."""
    from busway import Bus
    from tests.bench.contenders.busway import Ticked

    entered, go_on = anyio.Event(), anyio.Event()

    async def hold(event: Ticked) -> None:
        entered.set()
        await go_on.wait()

    bus = Bus("memory://", service="bench")
    bus.add(hold, "bench.*", group="bench")
    events = [Ticked(number, "") for number in range(WARM + COUNTED)]
    async with bus:
        for event in events[:10]:
            await bus.publish(event)
        await entered.wait()
        tracemalloc.start()
        for event in events[10:WARM]:
            await bus.publish(event)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for event in events[WARM:]:
            await bus.publish(event)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        go_on.set()
    return grown / COUNTED


async def slow(total: int) -> float:
    """By how much the peak rises while nine tenths of the events go through a slow consumer."""
    from busway import Bus
    from tests.bench.contenders.busway import Ticked

    handled, tenth, done = 0, anyio.Event(), anyio.Event()

    async def handle(event: Ticked) -> None:
        nonlocal handled
        await checkpoint()
        handled += 1
        if handled == total // 10:
            tenth.set()
        if handled == total:
            done.set()

    bus = Bus("memory://", service="bench")
    bus.add(handle, "bench.*", group="bench")
    async with bus:
        for number in range(total // 10):
            await bus.publish(Ticked(number, ""))
        await tenth.wait()
        before = peak_bytes()
        for number in range(total // 10, total):
            await bus.publish(Ticked(number, ""))
        await done.wait()
    return peak_bytes() - before


def topics(total: int) -> float:
    """By how much the peak rises while nine tenths of the topics are looked up."""
    from tests.bench.cases.routing import TopicMaker, full_router

    router, maker = full_router(), TopicMaker()
    step = 1_000
    for _ in range(total // 10 // step):
        for topic in maker.take(step):
            router.match(topic)
    before = peak_bytes()
    for _ in range(total * 9 // 10 // step):
        for topic in maker.take(step):
            router.match(topic)
    return peak_bytes() - before


def main(name: str, *arguments: str) -> Any:
    numbers = [int(argument) for argument in arguments]
    if name == "topics":
        return topics(*numbers)
    return anyio.run({"waiting": waiting, "slow": slow}[name], *numbers)


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
