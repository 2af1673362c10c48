"""Runs against one broker, each where there is nothing, interleaved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tests.bench.measure import Settings, Spread, run_on
from tests.bench.rig import Loop

__all__ = ["Go", "Run", "interleave"]

TRIAL = 1_000
"""Events of a trial, and the fewest of a run."""
STEP = 1_000

Go = Callable[[str, int], Awaitable[float]]
"""Given the URL and how many events; answers with seconds per event."""


@dataclass
class Run:
    """One contender at one task, and what each repeat took per event, in seconds."""

    contender: str
    go: Go
    fewest: int = TRIAL
    loop: Loop = "asyncio"
    count: int = 0
    taken: list[float] = field(default_factory=list)

    @property
    def spread(self) -> Spread:
        return Spread(tuple(self.taken))


def interleave(fresh: Callable[[], str], runs: Sequence[Run], settings: Settings) -> None:
    """Every repeat runs each once, in alternating order. How many events fill the time is found by
    a trial, which also brings every module and script in. ``fresh`` is called before each and
    answers with the URL of where there is nothing."""
    for run in runs:
        trial = run_on(run.loop, run.go, fresh(), run.fewest)
        run.count = max(run.fewest, round(settings.seconds / trial / STEP) * STEP)
    for repeat in range(settings.repeats):
        for run in runs if repeat % 2 == 0 else reversed(runs):
            run.taken.append(run_on(run.loop, run.go, fresh(), run.count))
