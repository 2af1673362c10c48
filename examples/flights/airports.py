"""A subscriber on every flight: how many left from each airport, and how many did not."""

from __future__ import annotations

from collections import Counter

from busway import Bus, Message

from .events import AnyFlight

__all__ = ["Airports"]


class Airports:
    """Counts flights by airport of departure and kind of event."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}

    @property
    def kinds(self) -> Counter[str]:
        """How many flights of each kind, all airports together."""
        together: Counter[str] = Counter()
        for kinds in self.counts.values():
            together.update(kinds)
        return together

    def add_to(self, bus: Bus) -> None:
        """Subscribe to all flights."""

        @bus.subscribe("flight.*", group="flights.airports")
        async def count(flight: AnyFlight, message: Message[AnyFlight]) -> None:
            self.counts.setdefault(flight.origin, Counter())[message.topic] += 1
