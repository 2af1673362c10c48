"""A process has died with many events in its hands; another takes them over while new ones come."""

from __future__ import annotations

import asyncio
from statistics import quantiles
from time import perf_counter

from redis.asyncio import Redis

from busway import Bus
from tests.bench.brokers.busway import PATTERN, fill
from tests.bench.brokers.events import GROUP, Noted, noted
from tests.bench.figures import Goal, Section
from tests.bench.measure import Settings, Spread, quiet_heap, run_on
from tests.bench.redis.timing import emptied
from tests.servers import RedisServer

__all__ = ["measure"]

RATE = 1_000.0
PENDING, PENDING_SHORT = 100_000, 10_000
SECONDS, SECONDS_SHORT = 10.0, 2.0
"""After which a run ends, however much is still pending."""
LATE = 120_000
"""Milliseconds: two leases ago the dead process gave its last sign of life."""
NOT_STALLED = Goal(100.0)

Recovered = tuple[float, float, float]
"""Median and 99th percentile of the new events' latency in seconds; old ones handled a second."""


async def recover(url: str, pending: int, seconds: float) -> Recovered:
    await fill(url, noted(pending))
    await die(url)
    waited: list[float] = []
    old, ended = 0, 0.0

    async def handle(event: Noted) -> None:
        nonlocal old, ended
        if event.at:
            waited.append(perf_counter() - event.at)
        else:
            old, ended = old + 1, perf_counter()

    bus = Bus(url, service="bench")
    bus.add(handle, PATTERN, group=GROUP)
    quiet_heap()
    async with bus:
        started = perf_counter()
        sent = 0
        while (now := perf_counter() - started) < seconds and (old < pending or not waited):
            if sent < now * RATE:
                await bus.publish(Noted(sent, perf_counter()))
                sent += 1
            else:
                await asyncio.sleep(0.001)
        lasted = ended - started
        # What has not arrived by now has waited so long at least.
        now = perf_counter()
        late = [now - started - number / RATE for number in range(len(waited), sent)]
    cuts = quantiles([*waited, *late], n=100)
    return cuts[49], cuts[98], old / lasted


async def die(url: str) -> None:
    """Everything is in the hands of a consumer that was last heard of long ago."""
    key = "busway:{bench}"
    async with Redis.from_url(url) as redis:
        await redis.xgroup_create(key, GROUP, "0")
        while True:
            answer = await redis.xreadgroup(GROUP, "dead", {key: ">"}, count=1_000)
            if not answer:
                return
            ((_, entries),) = answer
            # JUSTID leaves the count of deliveries as it is.
            ids = [id for id, _ in entries]
            await redis.xclaim(key, GROUP, "dead", 0, ids, idle=LATE, justid=True)


def measure(section: Section, server: RedisServer, settings: Settings) -> None:
    pending, seconds = (PENDING_SHORT, SECONDS_SHORT) if settings.short else (PENDING, SECONDS)
    taken: list[Recovered] = [
        run_on("asyncio", recover, emptied(server), pending, seconds)
        for _ in range(settings.repeats)
    ]
    middles, tails, rates = zip(*taken, strict=True)
    what = f"{pending:,} pending taken over, new ones at 1 k/s"
    for name, values, goal in (("p50", middles, None), ("p99", tails, NOT_STALLED)):
        spread = Spread(tuple(each * 1e3 for each in values))
        section.add((f"{what}: latency of these, {name}", "Busway", ""), spread, goal, unit="ms")
    section.add((f"{what}: taken over", "Busway", ""), Spread(rates), unit="per s")
