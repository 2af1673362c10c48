"""BusBroker with its access log switched off and everything else as it comes."""

from __future__ import annotations

from typing import Any

from busway_faststream.broker import BusBroker
from tests.bench.brokers.busway import PATTERN, fill
from tests.bench.brokers.events import GROUP, Stopwatch, keyed, noted
from tests.bench.measure import quiet_heap

__all__ = ["consume", "consume_keyed"]


async def _consume(url: str, count: int, make: Any) -> float:
    watch = Stopwatch(count // 10, count)
    await fill(url, make(count + count // 10))
    broker = BusBroker(url, service="bench", logger=None)

    @broker.subscriber(PATTERN, group=GROUP)
    async def handle(event: dict[str, Any]) -> None:
        watch.handled += 1
        if watch.handled == watch.next:
            watch.mark()

    quiet_heap()
    await broker.start()
    try:
        await watch.done.wait()
    finally:
        await broker.stop()
    return watch.seconds_each


async def consume(url: str, count: int) -> float:
    """One call of the handler for each event."""
    return await _consume(url, count, noted)


async def consume_keyed(url: str, count: int) -> float:
    """The same of events with keys."""
    return await _consume(url, count, keyed)
