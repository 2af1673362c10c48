"""What an offset log may commit while its records are finished in any order."""

from __future__ import annotations

from collections import deque

__all__ = ["Watermark"]


class Watermark:
    """The place below which everything that was lent is done.

    Rule 1: records are lent in the order of their offsets; lending one again changes nothing.
    Rule 2: ``position`` is the lowest offset that is lent and not done, or the one above the
    highest ever lent when all are done.
    Rule 3: ``position`` never goes down.

    Offsets may have gaps, as those of a compacted log have. Both calls cost O(1), amortised.
    """

    __slots__ = ("_lent", "_next", "_open", "position")

    def __init__(self, position: int = 0) -> None:
        self.position = position
        """What to commit: the offset that a new owner begins with."""
        self._next = position
        self._lent: deque[int] = deque()  # ascending; done ones stay in it behind one that is not
        self._open: set[int] = set()

    def lend(self, offset: int) -> None:
        """A record was handed out."""
        if offset < self._next:
            return
        self._lent.append(offset)
        self._open.add(offset)
        self._next = offset + 1
        self.position = self._lent[0]

    def done(self, offset: int) -> bool:
        """A record is finished. Returns whether ``position`` moved; twice is harmless."""
        if offset not in self._open:
            return False
        self._open.remove(offset)
        before = self.position
        while self._lent and self._lent[0] not in self._open:
            self._lent.popleft()
        self.position = self._lent[0] if self._lent else self._next
        return self.position != before
