"""The one table of the Redis case: who does what, beside whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.bench.figures import Goal, Section
from tests.bench.measure import Spread
from tests.bench.redis.timing import Run

__all__ = ["Aim", "compare", "table"]

Aim = tuple[str, str, Goal]
"""A contender, whom it is compared with, and by how much it is to be quicker."""

NOTE = (
    "x: how many events the contender gets done while the one it stands beside gets done one; of "
    "latencies, memory and what else has no rate: the quotient of the two, of which less is "
    "better. All on one redis-server on the loopback interface, its append-only file written "
    "every second, emptied before each run; an event's data is 256 bytes of JSON. The raw loop "
    "reads bytes, counts them and acknowledges: it decodes nothing and calls no handler; the raw "
    "publishers send bytes made beforehand. Everybody else encodes and decodes. A run that loses "
    "an event does not end."
)


def table() -> Section:
    return Section(
        "Redis Streams",
        ("what", "contender", "beside"), "x", "x", ("µs each", "per s"), note=NOTE,
    )  # fmt: skip


def compare(section: Section, what: str, runs: Sequence[Run], aims: Iterable[Aim]) -> None:
    """Everybody beside the first, and each aim in a row of its own."""
    by_name = {run.contender: run for run in runs}
    first = runs[0]
    aimed = {(who, beside): goal for who, beside, goal in aims}
    pairs = [(run.contender, first.contender) for run in runs]
    pairs += [pair for pair in aimed if pair not in pairs]
    for who, beside in pairs:
        run = by_name[who]
        section.add(
            (what, who, beside if who != beside else ""),
            by_name[beside].spread.over(run.spread),
            aimed.get((who, beside)),
            rate(run.spread),
        )


def rate(each: Spread) -> tuple[str, str]:
    return f"{each.middle * 1e6:,.2f}", f"{1 / each.middle:,.0f}"
