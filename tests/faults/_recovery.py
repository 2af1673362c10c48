"""How long it took until it went on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from ._record import Handling, Record

__all__ = ["histogram", "resumptions", "takeovers"]

LOSES_PROCESS = ("kill", "poison", "stop")


def takeovers(record: Record) -> list[float]:
    """For each handling that a kill or a SIGSTOP interrupted: seconds until the event was started
    again elsewhere."""
    begins = {
        each.pid: each.begin
        for each in record.faults
        if each.kind in LOSES_PROCESS and each.pid is not None
    }
    found: list[float] = []
    for events in record.handlings.values():
        for handlings in events.values():
            found += _of_event(handlings, begins)
    return sorted(found)


def _of_event(handlings: list[Handling], begins: dict[int, float]) -> Iterable[float]:
    for each in handlings:
        begin = begins.get(each.pid)
        if begin is not None and each.start <= begin and each.end is None and each.left is None:
            later = [one.start for one in handlings if one.pid != each.pid and one.start > begin]
            if later:
                yield min(later) - begin


def resumptions(record: Record) -> list[float]:
    """For each fault of the network or the server: seconds from its end until a process that it hit
    started something new."""
    starts: dict[int, list[float]] = defaultdict(list)
    for events in record.handlings.values():
        for handlings in events.values():
            for each in handlings:
                starts[each.pid].append(each.start)
    for times in starts.values():
        times.sort()
    found: list[float] = []
    for fault in record.faults:
        if fault.kind not in LOSES_PROCESS and fault.kind != "lag":
            for pid, times in starts.items():
                if fault.hit(pid) and times[0] < fault.begin:
                    later = next((at for at in times if at > fault.end), None)
                    if later is not None:
                        found.append(later - fault.end)
    return sorted(found)


def histogram(seconds: Sequence[float], lease: float) -> list[tuple[str, int]]:
    """How many lie in which span; the promise for a killed process is 1.25 x lease."""
    edges = [0.1, 0.5, 1.0, lease, 1.25 * lease, 2 * lease, 4 * lease]
    rows: list[tuple[str, int]] = []
    lower = 0.0
    for edge in edges:
        if edge > lower:
            count = sum(1 for each in seconds if lower <= each < edge)
            rows.append((f"{lower:g} … {edge:g} s", count))
            lower = edge
    rows.append((f"over {lower:g} s", sum(1 for each in seconds if each >= lower)))
    return rows
