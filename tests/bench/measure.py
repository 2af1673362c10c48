"""Timing: warm up, choose how many events fill the time, repeat, and interleave."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from math import floor
from statistics import median
from time import perf_counter
from typing import Any

import anyio

from tests.bench.contenders import baseline
from tests.bench.rig import Contender, Load, Loop

__all__ = [
    "Entry",
    "Settings",
    "Spread",
    "beside_bare",
    "events_of",
    "interleave",
    "per_call",
    "quiet_heap",
    "run_on",
    "timed",
]

PROBE = 300
FEWEST = 64
CALLS = 2_000
PART = 0.01
"""Seconds. A repeat is timed in parts about so long, of which the quickest counts: whatever else
the machine does can only make one slower, and a short part has a chance to be left alone."""


@dataclass(frozen=True)
class Settings:
    """How long and how often to measure."""

    short: bool = False
    repeats: int = 5
    seconds: float = 0.4
    """What one timed run is meant to take."""


@dataclass(frozen=True)
class Spread:
    """The median of several repeats, and how far they lie apart."""

    values: tuple[float, ...]

    @property
    def middle(self) -> float:
        return median(self.values)

    @property
    def least(self) -> float:
        return min(self.values)

    @property
    def most(self) -> float:
        return max(self.values)

    def over(self, other: Spread) -> Spread:
        """Quotients repeat by repeat: what slows both in one repeat cancels out."""
        return Spread(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))


@dataclass
class Entry:
    """One contender under one load, and what each repeat took per delivery, in seconds."""

    contender: Contender
    load: Load
    count: int = PROBE
    """Events in a part."""
    parts: int = 3
    taken: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    """What the bare hand-off took directly before and after each repeat, if that was asked for."""

    @property
    def spread(self) -> Spread:
        return Spread(tuple(self.taken))

    @property
    def over_bare(self) -> Spread:
        """How many times as quick as the bare hand-off."""
        return Spread(tuple(self.beside)).over(self.spread)


def run_on(loop: Loop, function: Any, *args: Any) -> Any:
    """Run an async function to its end on a fresh loop of that kind."""
    if loop == "trio":
        return anyio.run(function, *args, backend="trio")
    options = {"use_uvloop": loop == "uvloop"}
    return anyio.run(function, *args, backend="asyncio", backend_options=options)


def quiet_heap() -> None:
    """What earlier runs left behind is collected now and not looked at again while timing."""
    gc.collect()
    gc.freeze()


def events_of(pool: Sequence[Any], count: int) -> list[Any]:
    return list(islice(cycle(pool), count))


async def timed(contender: Contender, load: Load, count: int, parts: int) -> float:
    """Seconds per delivery, from the first publish to the last event handled, after a warm-up."""
    async with contender.open(load) as rig:
        drive = rig.single if load.mode == "single" else rig.burst
        extra = (load.groups,) if load.groups > 1 else ()
        events = events_of(rig.pool, count)
        await drive(events[:PROBE], *extra)
        before = rig.tally.handled
        seconds: list[float] = []
        for _ in range(parts):
            quiet_heap()
            started = perf_counter()
            await drive(events, *extra)
            seconds.append(perf_counter() - started)
        each, handled = count * load.groups, rig.tally.handled - before
        if handled != each * parts:
            raise AssertionError(f"{contender.name} handled {handled} of {each * parts} events")
        return min(seconds) / each


def per_call(function: Callable[..., object], arguments: Sequence[tuple[Any, ...]]) -> float:
    """Microseconds that one call takes, for a function that neither waits nor blocks."""
    seconds: list[float] = []
    for start in range(0, len(arguments), CALLS):
        part = arguments[start : start + CALLS]
        quiet_heap()
        started = perf_counter()
        for each in part:
            function(*each)
        seconds.append((perf_counter() - started) / len(part))
    return min(seconds) * 1e6


def _fit(entry: Entry, settings: Settings) -> None:
    """By a trial: slow contenders and quick ones take about the same time."""
    trial = run_on(entry.contender.loop, timed, entry.contender, entry.load, FEWEST, 3)
    per_event = trial * entry.load.groups
    entry.count = max(FEWEST, floor(PART / per_event))
    entry.parts = max(3, round(settings.seconds / (entry.count * per_event)))


def interleave(entries: Sequence[Entry], settings: Settings) -> None:
    """Every repeat runs every entry once, in alternating order: a slow moment of the machine then
    hits all of them alike."""
    for entry in entries:
        _fit(entry, settings)
    for repeat in range(settings.repeats):
        for entry in entries if repeat % 2 == 0 else reversed(entries):
            entry.taken.append(_run(entry))


def beside_bare(entries: Sequence[Entry], settings: Settings) -> None:
    """The same, with the bare hand-off of the entry's loop timed directly before and after each:
    the machine may be another one a second later."""
    bare = {each.loop: Entry(baseline(each.loop), entries[0].load) for each in _contenders(entries)}
    for entry in (*entries, *bare.values()):
        _fit(entry, settings)
    for repeat in range(settings.repeats):
        for loop in sorted(bare, reverse=bool(repeat % 2)):
            before = _run(bare[loop])
            for entry in (each for each in entries if each.contender.loop == loop):
                if entry.contender == bare[loop].contender:
                    entry.taken.append(before)
                    entry.beside.append(before)
                    continue
                entry.taken.append(_run(entry))
                after = _run(bare[loop])
                entry.beside.append((before + after) / 2)
                before = after


def _contenders(entries: Sequence[Entry]) -> list[Contender]:
    return [entry.contender for entry in entries]


def _run(entry: Entry) -> float:
    how = (entry.contender, entry.load, entry.count, entry.parts)
    return float(run_on(entry.contender.loop, timed, *how))
