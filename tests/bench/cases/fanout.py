"""One publisher, many groups: each group gets every event."""

from __future__ import annotations

from collections.abc import Iterable

from tests.bench.contenders import find
from tests.bench.figures import Goal, Section
from tests.bench.measure import Entry, Settings, interleave
from tests.bench.rig import Load, Loop

__all__ = ["measure"]

LOOPS: tuple[Loop, ...] = ("asyncio", "uvloop", "trio")
GROUPS = (10, 100)
GOAL = Goal(0.5)


def measure(settings: Settings) -> Iterable[Section]:
    section = Section(
        "Fan-out: the cost of one delivery",
        ("groups", "loop"), "x one publish → handled", "x", ("µs per delivery", "deliveries/s"),
    )  # fmt: skip
    buses = [find("Busway", loop) for loop in LOOPS]
    entries = [Entry(bus, Load(groups=groups)) for bus in buses for groups in (1, *GROUPS)]
    interleave(entries, settings)
    one = {entry.contender.loop: entry for entry in entries if entry.load.groups == 1}
    for entry in entries:
        groups, loop, each = entry.load.groups, entry.contender.loop, entry.spread.middle
        section.add(
            (str(groups), loop),
            entry.spread.over(one[loop].spread),
            GOAL if groups > 1 else None,
            (f"{each * 1e6:,.2f}", f"{1 / each:,.0f}"),
        )
    yield section
