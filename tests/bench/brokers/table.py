"""Rows of a broker's table: who does what, beside whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.bench.brokers.timing import Run
from tests.bench.figures import Goal, Section
from tests.bench.measure import Spread

__all__ = ["Aim", "compare", "rate", "table"]

Aim = tuple[str, str, Goal | None]
"""A contender, whom it is compared with, and by how much it is to be quicker, if there is a goal
for that."""

NOTE = (
    "x: how many events the contender gets done while the one it stands beside gets done one; of "
    "latencies, memory and what else has no rate: the quotient of the two, of which less is "
    "better. "
)


def table(title: str, note: str) -> Section:
    """Empty; ``note`` says what it was measured on."""
    return Section(
        title,
        ("what", "contender", "beside"), "x", "x", ("µs each", "per s"), note=NOTE + note,
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
