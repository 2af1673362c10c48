"""Latency at a steady rate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from statistics import quantiles
from time import perf_counter

from tests.bench.brokers.events import Noted
from tests.bench.measure import quiet_heap

__all__ = ["Latency", "paced"]

Latency = tuple[float, float]
"""Its median and its 99th percentile, in seconds."""
_WARM = 200
_PATIENCE = 30.0


async def paced(
    send: Callable[[Noted], Awaitable[object]], taken: list[float], rate: float, seconds: float
) -> Latency:
    """Send to a timetable; ``taken`` is what the subscriber notes. A publisher that is late catches
    up; the clock of an event starts when its own publish starts."""
    for number in range(_WARM):
        await send(Noted(number, perf_counter()))
    await _all_in(taken, _WARM)
    taken.clear()
    total = int(rate * seconds)
    quiet_heap()
    sent, started = 0, perf_counter()
    while sent < total:
        due = min(total, int((perf_counter() - started) * rate) + 1)
        while sent < due:
            await send(Noted(sent, perf_counter()))
            sent += 1
        wait = started + sent / rate - perf_counter()
        await asyncio.sleep(max(0.0, wait))
    await _all_in(taken, total)
    cuts = quantiles(taken, n=100)
    return cuts[49], cuts[98]


async def _all_in(taken: list[float], total: int) -> None:
    async with asyncio.timeout(_PATIENCE):
        while len(taken) < total:
            await asyncio.sleep(0.001)
