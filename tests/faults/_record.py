"""What the journals say, put together event by event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from ._events import Event, innocent
from ._journal import Line

__all__ = ["Census", "Fault", "Handling", "Record"]


@dataclass(slots=True)
class Handling:
    """One start of a handler."""

    pid: int
    start: float
    end: float | None = None
    """When it succeeded; None when it did not."""
    left: float | None = None
    """When it failed or was cancelled."""


@dataclass(slots=True)
class Fault:
    """Something was done to a process, or to all of them."""

    kind: str
    who: str
    pid: int | None
    """None: to all."""
    begin: float
    end: float = inf

    def hit(self, pid: int) -> bool:
        return self.pid is None or self.pid == pid


@dataclass(slots=True)
class Census:
    """What a process had open before its bus was started, and after it was stopped."""

    who: str
    before: tuple[int, int]
    after: tuple[int, int] | None = None


@dataclass
class Record:
    """Made by ``add``, line by line; lines of one process have to come in their order."""

    groups: tuple[str, ...]
    outcomes: dict[str, str] = field(default_factory=dict[str, str])
    """By event: ``try``, ``ok``, ``failed`` or ``unknown``."""
    handlings: dict[str, dict[str, list[Handling]]] = field(init=False)
    """By group and event."""
    letters: dict[str, dict[str, str]] = field(init=False)
    """By group and event, with what the letter says."""
    waiting: dict[str, set[str]] = field(init=False)
    """By group: what was published, and no handling has succeeded yet."""
    faults: list[Fault] = field(default_factory=list[Fault])
    exits: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])
    """Who ended, its pid, with which status."""
    kills: dict[int, float] = field(default_factory=dict[int, float])
    """When a process was killed, or found to have killed itself."""
    left: dict[str, str] = field(default_factory=dict[str, str])
    """By group: what the last audit found that waits or is lent, in words."""
    census: dict[int, Census] = field(default_factory=dict[int, Census])
    counts: Counter[str] = field(default_factory=Counter[str])
    """How many lines of each kind there are."""
    ready: set[int] = field(default_factory=set[int])
    """The processes whose bus runs."""
    stats: dict[int, dict[str, int]] = field(default_factory=dict[int, "dict[str, int]"])
    """What the buses of a process had counted when they ended in good order."""
    visits: int = 0
    """How often a visitor left."""
    first: float = inf
    last: float = 0.0

    def __post_init__(self) -> None:
        self.handlings = {group: {} for group in self.groups}
        self.letters = {group: {} for group in self.groups}
        self.waiting = {group: set() for group in self.groups}
        self._running: dict[tuple[int, str, str], Handling] = {}
        self._open: dict[str, Fault] = {}

    def add_all(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self.add(line)

    def add(self, line: Line) -> None:
        self.counts[line.what] += 1
        self.first, self.last = min(self.first, line.at), max(self.last, line.at)
        known = getattr(self, f"_on_{line.what.replace('-', '_')}", None)
        if known is None:
            raise ValueError(f"nobody writes such a line: {line}")
        known(line, *line.words)

    def running(self, pid: int) -> list[str]:
        """The events that a process handles now, whatever the group."""
        return [event for owner, _, event in self._running if owner == pid]

    @property
    def published(self) -> int:
        return self.counts["ok"]

    # --- publishing -------------------------------------------------------------------------------

    def _on_try(self, line: Line, event: str) -> None:
        self.outcomes.setdefault(event, "try")

    def _on_ok(self, line: Line, event: str) -> None:
        self.outcomes[event] = "ok"
        if innocent(Event.parse(event).act):
            for group in self.groups:
                if not any(each.end is not None for each in self.handled(group, event)):
                    self.waiting[group].add(event)

    def _on_failed(self, line: Line, event: str, *_: str) -> None:
        self.outcomes[event] = "failed"

    def _on_unknown(self, line: Line, event: str, *_: str) -> None:
        self.outcomes[event] = "unknown"

    # --- handling ---------------------------------------------------------------------------------

    def handled(self, group: str, event: str) -> list[Handling]:
        return self.handlings[group].get(event, [])

    def _on_start(self, line: Line, group: str, event: str, attempt: str) -> None:
        handling = Handling(line.pid, line.at)
        self.handlings[group].setdefault(event, []).append(handling)
        self._running[line.pid, group, event] = handling

    def _on_end(self, line: Line, group: str, event: str) -> None:
        self._running.pop((line.pid, group, event)).end = line.at
        self.waiting[group].discard(event)

    def _on_left(self, line: Line, group: str, event: str, *_: str) -> None:
        self._running.pop((line.pid, group, event)).left = line.at

    def _on_letter(self, line: Line, group: str, event: str, kind: str) -> None:
        self.letters[group][event] = kind

    def _on_group(self, line: Line, group: str, lag: str, pending: str, members: str) -> None:
        self.left[group] = f"{lag} wait, {pending} are lent, {members} listen"

    # --- processes and what was done to them ------------------------------------------------------

    def _on_up(self, line: Line, files: str, tasks: str) -> None:
        self.census[line.pid] = Census(line.who, (int(files), int(tasks)))

    def _on_ready(self, line: Line) -> None:
        self.ready.add(line.pid)

    def _on_down(self, line: Line, files: str, tasks: str) -> None:
        self.census[line.pid].after = (int(files), int(tasks))

    def _on_lag(self, line: Line, seconds: str) -> None:
        self.faults.append(Fault("lag", line.who, line.pid, line.at - float(seconds), line.at))

    def _on_begin(self, line: Line, name: str, kind: str, who: str, pid: str) -> None:
        fault = Fault(kind, who, None if pid == "*" else int(pid), line.at)
        self.faults.append(fault)
        self._open[name] = fault
        if kind == "kill" and fault.pid is not None:
            self.kills[fault.pid] = line.at

    def _on_done(self, line: Line, name: str) -> None:
        self._open.pop(name).end = line.at

    def _on_exit(self, line: Line, who: str, pid: str, status: str) -> None:
        self.exits.append((who, int(pid), int(status)))
        if int(status) == -9 and int(pid) not in self.kills:
            # By its own hand: what it ran is what a kill interrupts, too.
            self.kills[int(pid)] = line.at
            self.faults.append(Fault("poison", who, int(pid), line.at, line.at))

    def _on_note(self, line: Line, *words: str) -> None:
        if words[0] == "visited":
            self.visits += 1
        if words[0] == "stats":
            counted = (word.partition("=") for word in words[1:])
            so_far = self.stats.setdefault(line.pid, {})
            for name, _, count in counted:
                so_far[name] = so_far.get(name, 0) + int(count)
