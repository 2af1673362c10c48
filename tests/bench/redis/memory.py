"""A million events through one process; printed by it: bytes, as JSON."""

from __future__ import annotations

import asyncio
import json
import sys

from redis.asyncio import Redis

from busway import Bus
from tests.bench.brokers.busway import PATTERN
from tests.bench.brokers.events import GROUP, Noted, noted
from tests.bench.figures import Goal, Section
from tests.bench.measure import Settings, Spread
from tests.bench.redis.timing import emptied
from tests.bench.subprocesses import ask, peak_bytes
from tests.servers import RedisServer

__all__ = ["measure"]

MB = 1_000_000
ROUND = 1_000
KEPT = 10_000
FLAT = Goal(8.0)


async def grown(url: str, total: int) -> int:
    """By how much the peak rises while the last nine tenths are published and handled."""
    handled, round_is_done = 0, asyncio.Event()

    async def handle(event: Noted) -> None:
        nonlocal handled
        handled += 1
        if handled % ROUND == 0:
            round_is_done.set()

    bus = Bus(url, service="bench")
    bus.add(handle, PATTERN, group=GROUP)
    events, before = noted(ROUND), 0
    async with bus, Redis.from_url(url) as redis:
        for number in range(total // ROUND):
            if number == total // ROUND // 10:
                before = peak_bytes()
            round_is_done.clear()
            await bus.publish_many(events)
            await round_is_done.wait()
            if number % 10 == 0:
                await redis.xtrim("busway:{bench}", maxlen=KEPT, approximate=True)
    return peak_bytes() - before


def measure(section: Section, server: RedisServer, settings: Settings) -> None:
    total = 100_000 if settings.short else 1_000_000
    repeats = min(settings.repeats, 3)
    taken = [ask(__name__, emptied(server), total) / MB for _ in range(repeats)]
    section.add(
        (f"memory: growth over {total:,} events", "Busway", ""), Spread(tuple(taken)), FLAT,
        unit="MB",
    )  # fmt: skip


if __name__ == "__main__":
    json.dump(asyncio.run(grown(sys.argv[1], int(sys.argv[2]))), sys.stdout)
