"""Publish → handled: one publisher as fast as it can, one subscriber."""

from __future__ import annotations

from collections.abc import Iterable

from tests.bench.contenders import contenders
from tests.bench.figures import Goal, Section
from tests.bench.measure import Entry, Settings, beside_bare

__all__ = ["measure"]

NOT_KEYED = Goal(1.0, at_least=True, floor=0.7)
KEYED = Goal(0.7, at_least=True, floor=0.5)
NOTE = (
    "x: how many events the contender handles while the bare hand-off of the same loop "
    "(`asyncio.Queue(1024)`, on trio `open_memory_channel(1024)`, no handler called) hands over "
    "one. pyee makes a task for each event, blinker and pymitter run the handler inside publish, "
    'aiopubsub\'s queue has no bound, and bubus, which has no wildcard beside "everything", '
    "makes its event anew each time."
)


def goal(entry: Entry) -> Goal | None:
    if entry.contender.name != "Busway":
        return None
    return KEYED if entry.load.keys else NOT_KEYED


def measure(settings: Settings) -> Iterable[Section]:
    entries = [Entry(each, load) for each in contenders() for load in each.loads]
    beside_bare(entries, settings)
    section = Section(
        "Publish → handled, one publisher, one subscriber",
        ("contender", "loop", "keys", "concurrency"), "x bare hand-off", "x",
        ("µs each", "events/s"), note=NOTE,
    )  # fmt: skip
    for entry in entries:
        contender, each = entry.contender, entry.spread.middle
        keys = f"{entry.load.keys:,}" if entry.load.keys else "none"
        section.add(
            (contender.name, contender.loop, keys, str(entry.load.concurrency)),
            entry.over_bare,
            goal(entry),
            (f"{each * 1e6:,.2f}", f"{1 / each:,.0f}"),
        )
    yield section
