"""One member's time with one partition."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from busway.transport import Loan

from ._records import Place, Record
from ._watermark import Watermark

__all__ = ["Tenure"]


class Tenure:
    """What was lent of a partition under one loan, and what may be committed of it.

    A tenure is revoked first (nothing of it starts any more, what runs may finish and is still
    acknowledged) and ended later (nothing of it counts any more).
    """

    def __init__(
        self, place: Place, records: list[Record], position: int, since: float, fence: int
    ) -> None:
        self.place = place
        self.loan = Loan(fence)
        self.until: float | None = None
        """When a revoked tenure ends although deliveries of it still run (the loop's clock)."""
        self.lent: set[int] = set()
        """Offsets handed out and neither acknowledged nor given back."""
        self.ended = False
        self._records = records
        self._next = position
        self._since = since
        self._returned: list[int] = []  # a heap: what was given back goes out first, in order
        self._watermark = Watermark(position)

    @property
    def position(self) -> int:
        """What may be committed."""
        return self._watermark.position

    @property
    def waiting(self) -> int:
        """How many records could be taken now."""
        return len(self._records) - self._next + len(self._returned)

    def take(self) -> tuple[int, Record] | None:
        """Lend the next record."""
        if self._returned:
            offset = heapq.heappop(self._returned)
        else:
            while self._next < len(self._records) and self._records[self._next].sent < self._since:
                self._next += 1
            if self._next == len(self._records):
                return None
            offset, self._next = self._next, self._next + 1
        self.lent.add(offset)
        self._watermark.lend(offset)
        return offset, self._records[offset]

    def ack(self, offset: int) -> bool:
        """Whether it was lent and is done now."""
        if self.ended or offset not in self.lent:
            return False
        self.lent.remove(offset)
        self._watermark.done(offset)
        return True

    def give_back(self, offset: int) -> bool:
        """Whether it was lent and goes out again."""
        if self.ended or offset not in self.lent:
            return False
        self.lent.remove(offset)
        heapq.heappush(self._returned, offset)
        return True

    def lost(self, offsets: Iterable[int]) -> int:
        """How many of these this tenure ended with, each counted once."""
        if not self.ended:
            return 0
        gone = self.lent.intersection(offsets)
        self.lent -= gone
        return len(gone)

    def revoke(self, until: float) -> None:
        self.loan.revoke()
        self.until = until

    def over(self, now: float) -> bool:
        """Whether somebody else may have the partition."""
        return self.ended or (
            self.until is not None and (self.loan.running <= 0 or now >= self.until)
        )

    def end(self) -> None:
        self.loan.revoke()
        self.ended = True
