"""What happens to a flight: one event class for each of the four ways it can go."""

from __future__ import annotations

from datetime import datetime

import msgspec

from busway import event

__all__ = ["AnyFlight", "Cancelled", "Delayed", "Departed", "Diverted", "Flight"]


class Flight(msgspec.Struct, frozen=True, kw_only=True):
    """What every flight has. It is no event itself."""

    carrier: str
    number: int
    origin: str
    destination: str
    scheduled: datetime
    tail: str | None = None
    """The aircraft, and the unit of order. Some cancelled flights never had one."""

    @property
    def name(self) -> str:
        """Names one flight of one day: ``2013-01-01 UA1545 EWR-IAH``."""
        return (
            f"{self.scheduled:%Y-%m-%d} {self.carrier}{self.number} "
            f"{self.origin}-{self.destination}"
        )


@event("flight.cancelled", key="tail")
class Cancelled(Flight, frozen=True, kw_only=True):
    """It never left."""


@event("flight.diverted", key="tail")
class Diverted(Flight, frozen=True, kw_only=True):
    """It left, and did not arrive where it was to go."""

    minutes_late: int


@event("flight.delayed", key="tail")
class Delayed(Flight, frozen=True, kw_only=True):
    """It left more than 15 minutes late."""

    minutes_late: int
    minutes_late_on_arrival: int


@event("flight.departed", key="tail")
class Departed(Flight, frozen=True, kw_only=True):
    """It left early, or at most 15 minutes late."""

    minutes_late: int
    minutes_late_on_arrival: int


AnyFlight = Cancelled | Diverted | Delayed | Departed
