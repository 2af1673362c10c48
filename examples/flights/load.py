"""The data file as typed events, in the order of the schedule."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Final, TypedDict

from .events import AnyFlight, Cancelled, Delayed, Departed, Diverted

__all__ = ["DATA", "flights", "rows"]

DATA: Final = Path(__file__).with_name("data") / "flights-2013-01.csv.gz"
MISSING: Final = "NA"
LATE: Final = 15
"""Minutes. A flight that leaves later than this is delayed."""
EST: Final = timezone(timedelta(hours=-5), "EST")


class _Shared(TypedDict):
    carrier: str
    number: int
    origin: str
    destination: str
    scheduled: datetime
    tail: str | None


def rows(limit: int | None = None) -> Iterator[dict[str, str]]:
    """The rows of the file as they are, at most ``limit`` of them."""
    with gzip.open(DATA, "rt", encoding="utf-8", newline="") as file:
        yield from islice(csv.DictReader(file), limit)


def flights(limit: int | None = None) -> list[AnyFlight]:
    """The first ``limit`` rows as events, by scheduled departure; equal times keep their order."""
    return sorted(map(_flight, rows(limit)), key=lambda flight: flight.scheduled)


def _flight(row: Mapping[str, str]) -> AnyFlight:
    shared = _shared(row)
    if row["dep_time"] == MISSING:
        return Cancelled(**shared)
    late = int(row["dep_delay"])
    if row["arr_delay"] == MISSING:
        return Diverted(**shared, minutes_late=late)
    kind = Delayed if late > LATE else Departed
    return kind(**shared, minutes_late=late, minutes_late_on_arrival=int(row["arr_delay"]))


def _shared(row: Mapping[str, str]) -> _Shared:
    year, month, day, hour, minute = (
        int(row[name]) for name in ("year", "month", "day", "hour", "minute")
    )
    return {
        "carrier": row["carrier"],
        "number": int(row["flight"]),
        "origin": row["origin"],
        "destination": row["dest"],
        "scheduled": datetime(year, month, day, hour, minute, tzinfo=EST),
        "tail": None if row["tailnum"] == MISSING else row["tailnum"],
    }
