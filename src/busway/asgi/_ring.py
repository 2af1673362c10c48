"""The last events of a stream, kept once for all who look on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import accumulate

from ._entry import Entry

__all__ = ["Ring"]


class Ring:
    """Entries with ascending numbers, at most ``bound``; the oldest makes room for the newest.

    Who reads holds the number of the entry to come. So a slow reader costs nothing, and finds out
    how far it is behind. What came while somebody could read has numbers from 0 on, what was found
    in the history lower ones.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self.run = os.urandom(4).hex()
        """Names this order of events: that of one run of the bus in this process."""
        self._kept: dict[int, Entry] = {}
        # The latest time up to and with each: an event may say that it happened long ago.
        self._marks: dict[int, float] = {}
        self._came: dict[str, int] = {}
        self._found: dict[str, int] = {}
        self.first = 0
        """The number of the oldest entry."""
        self.end = 0
        """The number that the next one will have."""
        self.closed = False
        """Whether no more will come: the bus has stopped."""

    def __len__(self) -> int:
        return self.end - self.first

    def came(self, id: str) -> bool:
        """Whether it came while somebody could read, and is kept."""
        return id in self._came

    def append(self, entry: Entry) -> bool:
        """False when it came before. What was only found in the history comes once more: who reads
        on from here is behind it, and would miss it."""
        if entry.id in self._came:
            return False
        self._kept[self.end] = entry
        self._marks[self.end] = max(entry.timestamp, self._marks.get(self.end - 1, entry.timestamp))
        self._came[entry.id] = self.end
        self.end += 1
        if len(self) > self._bound:
            oldest = self._kept.pop(self.first).id
            del self._marks[self.first]
            del (self._found if self.first < 0 else self._came)[oldest]
            self.first += 1
        return True

    def prepend(self, entries: Sequence[Entry]) -> None:
        """Put older ones, oldest first, before all, as far as there is room."""
        marks = list(accumulate((entry.timestamp for entry in entries), max))
        for entry, mark in zip(reversed(entries), reversed(marks), strict=True):
            if len(self) >= self._bound:
                return
            if entry.id not in self._came and entry.id not in self._found:
                self.first -= 1
                self._kept[self.first] = entry
                self._marks[self.first] = mark
                self._found[entry.id] = self.first

    def after(self, id: str) -> int | None:
        """The number of what follows this event. Of one that was found in the history and came
        later, what follows the first: who saw only that has not seen what lies between."""
        place = self._place(id)
        return None if place is None else place + 1

    def before(self, place: int) -> Entry | None:
        """The entry that one who is to read this number next has read last."""
        return self._kept.get(place - 1)

    def not_before(self, id: str) -> int | None:
        """The number to read from, to miss nothing, for one who had this event from another
        process: there, events of different keys may have come in another order, so those that are
        no older are read again."""
        place = self._place(id)
        if place is None:
            return None
        since = self._kept[place].timestamp
        earlier = range(self.first, place)
        return next((n for n in earlier if self._marks[n] >= since), place + 1)

    def _place(self, id: str) -> int | None:
        found = self._found.get(id)
        return self._came.get(id) if found is None else found

    def read(
        self, start: int, size: int, wanted: Callable[[str], bool] | None
    ) -> tuple[bytes, int]:
        """The entries from ``start`` on whose topics are wanted, together at most ``size`` bytes or
        one entry, and the number to go on at."""
        chunks: list[bytes] = []
        for number in range(start, self.end):
            entry = self._kept[number]
            if wanted is not None and not wanted(entry.topic):
                continue
            size -= len(entry.chunk)
            if size < 0 and chunks:
                return b"".join(chunks), number
            chunks.append(entry.chunk)
        return b"".join(chunks), self.end
