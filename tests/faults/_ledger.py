"""Whether a group's offsets in Kafka ever stood above what it had not finished."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

__all__ = ["Far", "Ledger", "Lies", "Place"]

Place = tuple[str, int]
"""A topic and the number of a partition."""


class Lies(NamedTuple):
    """A record."""

    place: Place
    offset: int
    event: str


class Far(NamedTuple):
    """How far a group said it was in a partition."""

    offset: int
    done: tuple[tuple[int, int], ...] = ()
    """Offsets, first and last, of runs above it that it noted as done."""


class Ledger:
    """What lies where, and what each group passed. Each record is looked at once for each group:
    what was finished stays so."""

    def __init__(self) -> None:
        self.passed = 0
        """Records that were looked at."""
        self.twice: list[Lies] = []
        """What was written a second time: nobody published it twice."""
        self._records: dict[Place, list[str]] = defaultdict(list)
        self._topics: dict[str, set[str]] = defaultdict(set)
        self._good: dict[tuple[str, Place], int] = defaultdict(int)

    def next(self, place: Place) -> int:
        """The offset from which on nothing is known yet. Nothing is ever missing between."""
        return len(self._records[place])

    def events(self, place: Place) -> list[str]:
        """All that is known to lie there, in order."""
        return [*self._records[place]]

    def add(self, records: Iterable[Lies]) -> None:
        for place, offset, event in records:
            lies = self._records[place]
            if offset == len(lies):
                lies.append(event)
                if ".retry." not in place[0] and place[0] in self._topics[event]:
                    self.twice.append(Lies(place, offset, event))
                self._topics[event].add(place[0])

    def unfinished(
        self, group: str, far: Mapping[Place, Far], finished: Callable[[str], bool]
    ) -> list[Lies]:
        """What the group has passed and not finished. What was sent again, to where only this group
        tries it again, is finished where it was."""
        found: list[Lies] = []
        for place, (offset, done) in far.items():
            first = self._good[group, place]
            runs = [(first, offset - 1), *done] if offset > first else [*done]
            for begin, end in runs:
                for number in range(begin, min(end + 1, len(self._records[place]))):
                    event = self._records[place][number]
                    if not finished(event) and not self._again(group, place, event):
                        found.append(Lies(place, number, event))
            self.passed += max(0, offset - first)
            self._good[group, place] = max(first, offset)
        return found

    def _again(self, group: str, place: Place, event: str) -> bool:
        return any(
            topic != place[0] and f".{group}.retry." in topic for topic in self._topics[event]
        )
