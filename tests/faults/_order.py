"""Whether events of a key were handled in the order they were published in."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from ._events import Event, innocent
from ._record import Handling, Record

__all__ = ["Inversion", "inversions"]


class Inversion(NamedTuple):
    """An event that began before an earlier one of its key was done for the first time."""

    group: str
    event: str
    earlier: str

    def __str__(self) -> str:
        return f"{self.group}: {self.event} began before {self.earlier} was done"


def inversions(record: Record, group: str) -> list[Inversion]:
    """Among first handlings. Only what was surely published, and has no reason to leave the order,
    has a place in it: nobody knows when an unknown publish arrives, and a dead letter lets the next
    pass."""
    stems: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for name, outcome in record.outcomes.items():
        event = Event.parse(name)
        if outcome == "ok" and innocent(event.act):
            stems[event.stem].append((event.number, name))
    found: list[Inversion] = []
    for events in stems.values():
        found += _of_key(record, group, [name for _, name in sorted(events)])
    return found


def _of_key(record: Record, group: str, names: list[str]) -> list[Inversion]:
    found: list[Inversion] = []
    latest, holder = 0.0, ""
    for name in names:
        handlings = record.handled(group, name)
        if not handlings:
            continue
        if min(each.start for each in handlings) < latest:
            found.append(Inversion(group, name, holder))
        done = _first_done(handlings)
        if done > latest:
            latest, holder = done, name
    return found


def _first_done(handlings: list[Handling]) -> float:
    """The end of the first handling that succeeded; the first start when none did: what is lost
    is counted elsewhere, and a poison has no end."""
    ends = [each.end for each in handlings if each.end is not None]
    return min(ends) if ends else min(each.start for each in handlings)
