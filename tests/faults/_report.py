"""What a fault run prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from ._journal import evidence
from ._recovery import histogram, resumptions, takeovers
from ._run import Options, Outcome

__all__ = ["print_report"]

SHOWN = 5
"""Violations of each kind that are printed with their lines."""
LINES = 30


def print_report(out: Console, outcome: Outcome, options: Options, folder: Path) -> None:
    """Everything that was counted, and each violation with its lines."""
    for table in (_events(outcome), _faults(outcome), _recovery(outcome)):
        out.print(table)
    _print_sockets(out, outcome)
    found = outcome.verdict.violations
    shown: Counter[str] = Counter()
    for each in found:
        shown[each.kind] += 1
        if shown[each.kind] <= SHOWN:
            out.print(f"{each.kind}: {each.what}", style="red", highlight=False, soft_wrap=True)
            for line in evidence(folder, each.word)[:LINES] if each.word else ():
                out.print(f"     {line}", highlight=False, soft_wrap=True)
    kinds = ", ".join(f"{count} {kind}" for kind, count in shown.items())
    out.print(f"seed {options.seed}: {kinds or 'no violation'}", highlight=False)


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    return table


def _events(outcome: Outcome) -> Table:
    record, repeated = outcome.record, outcome.verdict.repeats
    counts = record.counts
    lost = sum(each.kind == "lost" for each in outcome.verdict.violations)
    innocent = sum(each.kind == "innocent" for each in outcome.verdict.violations)
    inverted = str(outcome.verdict.inversions) + ("" if outcome.ordered else " (not promised)")
    table = _table("Events", "what", "count")
    for what, value in (
        ("published", counts["ok"]),
        ("not sent", counts["failed"]),
        ("may have been sent", counts["unknown"]),
        ("handled", counts["end"]),
        ("attempts that failed", counts["left"]),
        ("dead letters, as they should", sum(map(len, record.letters.values())) - innocent),
        ("lost", lost),
        ("innocents dead-lettered", innocent),
        ("inversions of a key", inverted),
        ("duplicates", repeated.total),
        ("visits (a join and a leave each)", record.visits),
        ("seconds until all was handled", f"{outcome.drained:.1f}"),
    ):
        table.add_row(what, f"{value:,}" if isinstance(value, int) else value)
    return table


def _faults(outcome: Outcome) -> Table:
    repeated = outcome.verdict.repeats
    table = _table("Faults", "kind", "how often", "in flight then", "duplicates of it")
    for kind, count in Counter(fault.kind for fault in outcome.record.faults).most_common():
        flying, came = repeated.in_flight[kind], repeated.by_kind[kind]
        table.add_row(kind, f"{count:,}", f"{flying:,}", f"{came:,}")
    table.add_row("(none)", "", "", f"{len(repeated.unexplained):,}")
    return table


def _recovery(outcome: Outcome) -> Table:
    lease = outcome.lease
    taken, resumed = takeovers(outcome.record), resumptions(outcome.record)
    table = _table(
        f"Recovery (lease {lease:g} s)", "after", "interrupted events begun again", "went on"
    )
    for (span, first), (_, second) in zip(
        histogram(taken, lease), histogram(resumed, lease), strict=True
    ):
        table.add_row(span, f"{first:,}", f"{second:,}")
    table.add_row("longest", _longest(taken), _longest(resumed))
    return table


def _longest(seconds: Sequence[float]) -> str:
    return f"{max(seconds):.1f} s" if seconds else ""


def _print_sockets(out: Console, outcome: Outcome) -> None:
    counted = [f"{when}: {count}" for when, count in outcome.sockets.items() if count is not None]
    if counted:
        out.print(f"connections to the server: {'; '.join(counted)}", highlight=False)
    if outcome.commits is not None:
        times, passed = outcome.commits
        above = sum(each.kind == "above" for each in outcome.verdict.violations)
        out.print(
            f"commits: looked at {times} times, {passed:,} records below them, "
            f"{above} of these not finished",
            highlight=False,
        )
    done = [each for each in outcome.record.census.values() if each.after is not None]
    kept = sum(1 for each in done if each.after is not None and each.after > each.before)
    out.print(
        f"processes: {len(outcome.record.census):,} begun, {len(done):,} ended in good order, "
        f"{kept} of them with files or tasks left",
        highlight=False,
    )
