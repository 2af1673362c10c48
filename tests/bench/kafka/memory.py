"""What one process holds of very many partitions, and behind one key that is stuck; measured in a
process of its own and printed by it: bytes, as JSON."""

from __future__ import annotations

import asyncio
import json
import sys

from busway import Bus
from tests.bench.brokers.busway import PATTERN, fill
from tests.bench.brokers.events import GROUP, KEYS, Keyed, keyed
from tests.bench.figures import Goal, Section
from tests.bench.kafka.place import fresh
from tests.bench.measure import Settings, Spread
from tests.bench.subprocesses import ask, peak_bytes
from tests.servers import KafkaServer

__all__ = ["measure"]

MB = 1_000_000
MANY, MANY_SHORT = 1_000, 100
"""Partitions."""
EACH = 300
"""Events in each of them."""
PATIENT = "&lease=120&timeout=30"
"""A broker that makes a thousand partitions, and removes as many, says nothing for seconds."""
ROUND = 1_000
BELOW = Goal(64.0)
FLAT = Goal(8.0)


async def wide(url: str, total: int) -> int:
    """By how much the peak rises while everything that waits in many partitions is handled by
    handlers that are slow to begin: what can be fetched ahead has been."""
    handled, done = 0, asyncio.Event()

    async def handle(event: Keyed) -> None:
        nonlocal handled
        if handled == 0:
            await _settled()
        handled += 1
        if handled == total:
            done.set()

    bus = Bus(url, service="bench")
    bus.add(handle, PATTERN, group=GROUP)
    before = peak_bytes()
    async with bus:
        await done.wait()
    return peak_bytes() - before


async def _settled() -> None:
    """Until the peak has not risen for a second."""
    before, same = 0, 0
    while same < 4:
        await asyncio.sleep(0.25)
        now = peak_bytes()
        same = same + 1 if now == before else 0
        before = now


async def stuck(url: str, total: int) -> int:
    """By how much the peak rises while one handler does not return and all other keys go on, from
    when its partition has come to a stand."""
    handled, go_on = 0, asyncio.Event()

    async def handle(event: Keyed) -> None:
        nonlocal handled
        if event == first:
            await go_on.wait()
        handled += 1

    bus = Bus(url, service="bench")
    bus.add(handle, PATTERN, group=GROUP, concurrency=8)
    events = keyed(KEYS)
    first = events[0]
    before = 0
    async with bus:
        for number in range(total // ROUND):
            if number == total // ROUND // 2:
                before = peak_bytes()
            await bus.publish_many(events)
            least = handled
            async with asyncio.timeout(30):
                while handled < least + ROUND // 2 and handled < number * ROUND // 2:
                    await asyncio.sleep(0.001)
        grown = peak_bytes() - before
        go_on.set()
    return grown


async def full(url: str, total: int) -> None:
    await fill(url, keyed(total))


def measure(section: Section, server: KafkaServer, settings: Settings) -> None:
    repeats = min(settings.repeats, 1 if settings.short else 3)
    many = MANY_SHORT if settings.short else MANY
    total = many * EACH
    make = fresh(server, PATIENT, partitions=many)
    taken: list[float] = []
    for _ in range(repeats):
        url = make()
        asyncio.run(full(url, total))
        taken.append(ask(__name__, "wide", url, total) / MB)
    section.add(
        (f"memory: {many:,} partitions with {total:,} events", "Busway", ""),
        Spread(tuple(taken)), BELOW, unit="MB",
    )  # fmt: skip
    total = 100_000 if settings.short else 400_000
    make = fresh(server)
    taken = [ask(__name__, "stuck", make(), total) / MB for _ in range(repeats)]
    section.add(
        (f"memory: growth over {total:,} events, one key stuck", "Busway", ""),
        Spread(tuple(taken)), FLAT, unit="MB",
    )  # fmt: skip


if __name__ == "__main__":
    ways = {"wide": wide, "stuck": stuck}
    json.dump(asyncio.run(ways[sys.argv[1]](sys.argv[2], int(sys.argv[3]))), sys.stdout)
