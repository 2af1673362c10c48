"""Counts of outcomes over the last so many seconds."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["Window"]

SLOTS: Final = 10
"""Parts of the window. What it counts is exact to one part: memory does not grow with the rate."""


class Window:
    """How many attempts there were in a sliding window, and how many failed."""

    __slots__ = ("_slots", "_width", "failed", "total")

    def __init__(self, seconds: float) -> None:
        self._width = seconds / SLOTS
        self._slots: deque[list[int]] = deque()  # [number of the slot, attempts, failures]
        self.total = 0
        self.failed = 0

    def add(self, now: float, *, failed: bool) -> None:
        """Count one attempt that ended at ``now``, and forget those that are too old."""
        number = int(now // self._width)
        slots = self._slots
        while slots and slots[0][0] <= number - SLOTS:
            _, total, failures = slots.popleft()
            self.total -= total
            self.failed -= failures
        # A clock set back by a little goes on in the newest slot; by a lot, it begins again.
        if slots and number <= slots[-1][0] - SLOTS:
            self.clear()
        if not slots or slots[-1][0] < number:
            slots.append([number, 0, 0])
        slots[-1][1] += 1
        slots[-1][2] += failed
        self.total += 1
        self.failed += failed

    def clear(self) -> None:
        """Forget everything."""
        self._slots.clear()
        self.total = self.failed = 0
