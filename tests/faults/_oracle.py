"""Which promises were broken, from the journals alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ._events import Event, innocent
from ._order import inversions
from ._record import Record
from ._repeats import Repeats, repeats

__all__ = ["Expected", "Verdict", "Violation", "judge"]


class Violation(NamedTuple):
    """A promise that was broken."""

    kind: str
    what: str
    word: str
    """What to look for in the journals: an event, or a process."""


class Expected(NamedTuple):
    """What was promised."""

    lease: float
    """Seconds."""
    ordered: bool = False
    """Whether the order of a key holds over all processes."""
    letters: bool = True
    """Whether the dead letters could be read."""
    unsure: float = 1.0
    """Seconds after its end within which a handling may not be acknowledged at the broker yet."""


@dataclass(frozen=True)
class Verdict:
    """What the oracle says."""

    violations: list[Violation]
    repeats: Repeats
    inversions: int
    """Among first handlings, whether or not that was promised."""


def judge(record: Record, expected: Expected) -> Verdict:
    """Read the record of a run that has ended."""
    found = [*_of_publishing(record), *_of_processes(record)]
    inverted = 0
    for group in record.groups:
        found += _lost(record, group)
        if expected.letters:
            found += _of_letters(record, group)
        of_group = inversions(record, group)
        inverted += len(of_group)
        if expected.ordered:
            found += [Violation("inversion", str(each), each.event) for each in of_group]
    repeated = repeats(record, expected.lease, expected.unsure)
    for group, event in repeated.unexplained:
        what = f"{group}: {event} was handled again, and no fault hit its first handling"
        found.append(Violation("duplicate", what, event))
    return Verdict(found, repeated, inverted)


def _lost(record: Record, group: str) -> Iterator[Violation]:
    for event in sorted(record.waiting[group]):
        if event not in record.letters[group]:
            yield Violation("lost", f"{group}: {event} was published and never handled", event)


def _of_letters(record: Record, group: str) -> Iterator[Violation]:
    letters = record.letters[group]
    for event, kind in letters.items():
        if innocent(Event.parse(event).act):
            what = f"{group}: {event} is a dead letter of kind {kind}"
            yield Violation("innocent", what, event)
    for event, outcome in record.outcomes.items():
        if outcome == "ok" and not innocent(Event.parse(event).act) and event not in letters:
            yield Violation("escaped", f"{group}: {event} is no dead letter", event)


def _of_publishing(record: Record) -> Iterator[Violation]:
    for group in record.groups:
        for event in record.handlings[group]:
            outcome = record.outcomes.get(event)
            if outcome is None:
                yield Violation("phantom", f"{group}: nobody published {event}", event)
            elif outcome == "failed":
                what = f"{group}: {event} was handled, and its publisher told it was not sent"
                yield Violation("lie", what, event)


def _of_processes(record: Record) -> Iterator[Violation]:
    for who, pid, status in record.exits:
        # SIGTERM is the end of a process that does not listen to it yet.
        if status not in ((0, -9) if pid in record.census else (0, -9, -15)):
            yield Violation("crash", f"{who} ({pid}) ended with status {status}", str(pid))
    for pid, each in record.census.items():
        if each.after is not None and each.after > each.before:
            what = (
                f"{each.who} ({pid}) had {each.before[0]} files and {each.before[1]} tasks before "
                f"its bus was started, {each.after[0]} and {each.after[1]} after it was stopped"
            )
            yield Violation("leak", what, str(pid))
