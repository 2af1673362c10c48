"""From publish to the handler, at a thousand events a second."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from tests.bench.brokers.pace import Latency
from tests.bench.figures import Goal, Section
from tests.bench.measure import Settings, Spread, run_on

__all__ = ["Measured", "measure"]

RATE = 1_000.0
GOAL = Goal(1.5)

Measured = Callable[[str, float, float], Awaitable[Latency]]


def measure(
    section: Section,
    fresh: Callable[[], str],
    contenders: Mapping[str, Measured],
    settings: Settings,
) -> None:
    """All beside the first."""
    raw = next(iter(contenders))
    seconds = 0.5 if settings.short else 3.0
    taken: dict[str, list[Latency]] = {name: [] for name in contenders}
    for repeat in range(settings.repeats):
        order = list(contenders.items())
        for name, latency in order if repeat % 2 == 0 else reversed(order):
            taken[name].append(run_on("asyncio", latency, fresh(), RATE, seconds))
    for what, place in (("p50", 0), ("p99", 1)):
        spreads = {
            name: Spread(tuple(each[place] for each in values)) for name, values in taken.items()
        }
        for name, spread in spreads.items():
            section.add(
                (f"latency at 1 k/s, {what}", name, raw if name != raw else ""),
                spread.over(spreads[raw]),
                GOAL if name == "Busway" else None,
                (f"{spread.middle * 1e6:,.0f}", ""),
            )
