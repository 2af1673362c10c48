"""What a worker is told."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Settings"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One process of a fault run: the argument of ``python -m tests.faults.worker``, as JSON."""

    role: Literal["producer", "consumer", "visitor", "audit"]
    """A visitor is a consumer that comes and goes."""
    name: str
    url: str
    folder: str
    """Where the journals are."""
    seed: int = 0
    channels: tuple[str, ...] = ("red", "green")
    groups: tuple[str, ...] = ("alpha",)
    attempts: int = 5
    """How often an event is tried."""
    # Of consumers.
    concurrency: int = 8
    room: int = 200
    """Deliveries that a group holds in a process at most."""
    work: float = 0.015
    """Seconds that a handler takes on average."""
    stays: float = 1.0
    """Seconds, on average, for which a visitor comes, and for which it is gone."""
    # Of producers.
    keys: int = 10
    rate: float = 100.0
    """Events a second; 0 for as many as it can."""
    count: int | None = None
    """Events of each key; without it until SIGTERM."""
    size: int = 64
    """Bytes of filling in an event."""
    fail: float = 0.0
    """The share of events that fail at the first attempt."""
    doom: float = 0.0
    poison: float = 0.0
    patience: float = 5.0
    """Seconds that a publish may take."""
