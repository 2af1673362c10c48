"""From publish to the handler's first line, at a steady rate."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import quantiles
from time import perf_counter

import anyio
from anyio.lowlevel import checkpoint

from tests.bench.contenders import baseline, find
from tests.bench.figures import Section
from tests.bench.measure import Settings, Spread, quiet_heap, run_on
from tests.bench.rig import Contender, Load, Loop

__all__ = ["measure"]

LOOPS: tuple[Loop, ...] = ("asyncio", "uvloop", "trio")
SLOW = 1_000.0
PROBED = 5_000
NOTE = (
    "Open loop: the publisher keeps to its timetable and catches up when it is late. The clock "
    "of an event starts when its own publish starts."
)


async def paced(contender: Contender, rate: float, seconds: float) -> tuple[float, float]:
    """The median and the 99th percentile of latency, in seconds."""
    async with contender.open(Load(mode="latency")) as rig:
        await rig.burst([rig.stamped() for _ in range(200)])
        tally, total = rig.tally, int(rate * seconds)
        tally.seconds.clear()
        tally.expect(total)
        quiet_heap()
        sent, started = 0, perf_counter()
        while sent < total:
            due = min(total, int((perf_counter() - started) * rate) + 1)
            while sent < due:
                await rig.send(rig.stamped())
                sent += 1
            wait = started + sent / rate - perf_counter()
            await (anyio.sleep(wait) if wait > 0.0005 else checkpoint())
        await tally.done.wait()
        cuts = quantiles(tally.seconds, n=100)
        return cuts[49], cuts[98]


async def saturated(contender: Contender) -> float:
    """Events a second when nothing holds the publisher back, under the same handler."""
    async with contender.open(Load(mode="latency")) as rig:
        rates: list[float] = []
        for _ in range(5):
            quiet_heap()
            rig.tally.expect(PROBED)
            started = perf_counter()
            for _ in range(PROBED):
                await rig.send(rig.stamped())
            await rig.tally.done.wait()
            rates.append(PROBED / (perf_counter() - started))
        return max(rates)


def measure(settings: Settings) -> Iterable[Section]:
    section = Section(
        "Latency, publish → handler, at a steady rate",
        ("contender", "loop", "rate"), "p50", "us", ("p99", "events/s"), note=NOTE,
    )  # fmt: skip
    seconds = 0.25 if settings.short else 1.0
    pairs = [each for loop in LOOPS for each in (baseline(loop), find("Busway", loop))]
    rates = [("1 k/s", SLOW, each) for each in pairs]
    rates += [
        ("half of saturation", run_on(each.loop, saturated, each) / 2, each) for each in pairs
    ]
    taken: list[list[tuple[float, float]]] = [[] for _ in rates]
    for _ in range(min(settings.repeats, 3)):
        for (_, rate, contender), into in zip(rates, taken, strict=True):
            into.append(run_on(contender.loop, paced, contender, rate, seconds))
    for (name, rate, contender), values in zip(rates, taken, strict=True):
        tail = Spread(tuple(high for _, high in values)).middle
        section.add(
            (contender.name, contender.loop, name),
            Spread(tuple(low * 1e6 for low, _ in values)),
            None,
            (f"{tail * 1e6:,.1f} µs", f"{rate:,.0f}"),
        )
    yield section
