"""One event at a time: each is published when the one before it was handled."""

from __future__ import annotations

from collections.abc import Iterable

from tests.bench.contenders import contenders
from tests.bench.figures import Goal, Section
from tests.bench.measure import Entry, Settings, beside_bare
from tests.bench.rig import Load

__all__ = ["measure"]

GOAL = Goal(1.0, at_least=True, floor=0.7)
NOTE = (
    "The publisher awaits a future (on trio an `Event`) that the consumer sets. blinker and "
    "pymitter run the handler inside publish, so there is nothing to wake up."
)


def measure(settings: Settings) -> Iterable[Section]:
    entries = [Entry(each, Load(mode="single")) for each in contenders()]
    beside_bare(entries, settings)
    section = Section(
        "One event at a time, each awaited until handled",
        ("contender", "loop"), "x bare hand-off", "x", ("µs each", "events/s"), note=NOTE,
    )  # fmt: skip
    for entry in entries:
        contender, each = entry.contender, entry.spread.middle
        section.add(
            (contender.name, contender.loop),
            entry.over_bare,
            GOAL if contender.name == "Busway" else None,
            (f"{each * 1e6:,.2f}", f"{1 / each:,.0f}"),
        )
    yield section
