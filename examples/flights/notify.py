"""Somebody else's unreliable service, which is told of every cancelled flight."""

from __future__ import annotations

from collections import Counter
from zlib import crc32

from .events import Cancelled

__all__ = ["FlakyNotifier", "NotifierDown"]


class NotifierDown(ConnectionError):
    """Raised when a notice could not be delivered."""


class FlakyNotifier:
    """Fails the first time for one flight in five, and every time for one in forty until repaired.

    Which flights these are follows from their names, so that every run is the same.
    """

    def __init__(self) -> None:
        self.repaired = False
        self.calls = 0
        self.told: Counter[str] = Counter()
        """How often each flight was notified of, by its name."""
        self._tried: set[str] = set()

    async def tell(self, flight: Cancelled) -> None:
        """Raises ``NotifierDown`` when it is the flight's turn to fail."""
        self.calls += 1
        name = flight.name
        luck = crc32(name.encode()) % 40
        first = name not in self._tried
        self._tried.add(name)
        if not self.repaired and (luck == 0 or (first and luck <= 8)):
            raise NotifierDown(f"no answer about {name}")
        self.told[name] += 1
