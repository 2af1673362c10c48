"""Duplicates, and which fault each of them comes from."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from ._record import Fault, Handling, Record

__all__ = ["Repeats", "repeats"]


@dataclass
class Repeats:
    """Second successful handlings of a group."""

    total: int = 0
    by_kind: Counter[str] = field(default_factory=Counter[str])
    """By the kind of the fault that explains it."""
    in_flight: Counter[str] = field(default_factory=Counter[str])
    """By kind of fault: the handlings that its faults may have made happen again."""
    unexplained: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Group and event."""


def repeats(record: Record, lease: float, unsure: float) -> Repeats:
    """A duplicate is explained by a fault that hit the process of the handling that began first,
    while that was in flight: while it ran, or before its acknowledgement was surely with the
    broker, which takes ``unsure`` seconds at most. It may have ended last: a process that was
    stopped goes on where it stood.

    Or it is explained by a fault from which the process of a later handling had just come back: it
    began what it had been lent before, and had not heard that the loan was lost."""
    found = Repeats()
    faults = _Faults(record.faults, lease, unsure)
    for group, events in record.handlings.items():
        for event, handlings in events.items():
            done = [each for each in handlings if each.end is not None]
            done.sort(key=lambda each: each.start)
            for each in handlings:
                for kind in {fault.kind for fault in faults.around(each)}:
                    found.in_flight[kind] += 1
            for earlier, later in pairwise(done):
                found.total += 1
                reason = next(iter(faults.around(earlier)), None) or faults.just_before(later)
                if reason is None:
                    found.unexplained.append((group, event))
                else:
                    found.by_kind[reason.kind] += 1
    return found


class _Faults:
    """Faults by the process they hit, and by when they began."""

    def __init__(self, faults: Iterable[Fault], lease: float, unsure: float) -> None:
        self._lease = lease
        self._unsure = unsure
        self._by_pid: dict[int | None, list[Fault]] = defaultdict(list)
        for fault in sorted(faults, key=lambda each: each.begin):
            self._by_pid[fault.pid].append(fault)

    def around(self, handling: Handling) -> Iterable[Fault]:
        """Those during which it was in flight, or shortly after which it was."""
        until = handling.end if handling.end is not None else handling.left
        for faults in (self._by_pid.get(handling.pid, []), self._by_pid.get(None, [])):
            # What begins later than this cannot have hit it.
            last = len(faults)
            if until is not None:
                last = bisect_left(faults, until + self._unsure, key=lambda each: each.begin)
            for fault in reversed(faults[:last]):
                if fault.end + self._lease >= handling.start:
                    yield fault

    def just_before(self, handling: Handling) -> Fault | None:
        """One that began earlier, and after which no heartbeat was due yet when this began."""
        for faults in (self._by_pid.get(handling.pid, []), self._by_pid.get(None, [])):
            for fault in faults:
                if fault.begin <= handling.start <= fault.end + self._lease / 3:
                    return fault
        return None
