"""Request and reply: round trips, one after another."""

from __future__ import annotations

from collections.abc import Iterable

from tests.bench.contenders import baseline
from tests.bench.contenders.busway import ASKED
from tests.bench.figures import Section
from tests.bench.measure import Entry, Settings, interleave
from tests.bench.rig import Load

__all__ = ["measure"]

NOTE = "x: beside one event at a time through the bare queue, answered by a future."


def measure(settings: Settings) -> Iterable[Section]:
    load = Load(mode="single")
    asked = [Entry(contender, load) for contender in ASKED if contender.installed()]
    bare = [Entry(baseline(entry.contender.loop), load) for entry in asked]
    interleave([*bare, *asked], settings)
    section = Section(
        "Request and reply, one round trip at a time",
        ("loop",), "x bare round trip", "x", ("µs each", "round trips/s"), note=NOTE,
    )  # fmt: skip
    for ours, theirs in zip(asked, bare, strict=True):
        each = ours.spread.middle
        section.add(
            (ours.contender.loop,),
            theirs.spread.over(ours.spread),
            None,
            (f"{each * 1e6:,.2f}", f"{1 / each:,.0f}"),
        )
    yield section
