"""Memory: of an event that waits, of a million events, of a million topics."""

from __future__ import annotations

from collections.abc import Iterable

from tests.bench.figures import Goal, Section
from tests.bench.measure import Settings, Spread
from tests.bench.subprocesses import ask

__all__ = ["measure"]

MB = 1_000_000
GOAL_WAITING = Goal(600)
GOAL_FLAT = Goal(8.0)
NOTE = (
    "Growth: by how much the peak of the process's memory rose after the first tenth. The slow "
    "consumer gives way to the publisher at every event, and the mailbox holds 1,024."
)


def measure(settings: Settings) -> Iterable[Section]:
    million = 100_000 if settings.short else 1_000_000
    repeats = 1 if settings.short else 3
    section = Section("Memory", ("what",), "measured", "MB", note=NOTE)
    waiting = [ask("tests.bench.memory_of", "waiting") for _ in range(repeats)]
    section.add(
        ("one waiting event, beyond the event itself",),
        Spread(tuple(map(float, waiting))), GOAL_WAITING, unit="bytes",
    )  # fmt: skip
    for name, text in (("slow", "events through a slow consumer"), ("topics", "distinct topics")):
        grown = [ask("tests.bench.memory_of", name, million) / MB for _ in range(repeats)]
        section.add((f"{million:,} {text}: growth",), Spread(tuple(grown)), GOAL_FLAT)
    yield section
