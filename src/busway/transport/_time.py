"""Where the time comes from."""

from __future__ import annotations

from typing import Protocol

import anyio

from .._clock import SystemClock as SystemClock

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Where the time comes from; tests bring their own."""

    def time(self) -> float:
        """Seconds since 1970 (UTC)."""
        ...

    async def wait(self, event: anyio.Event, until: float | None, /) -> bool:
        """Wait for the event, at most until that moment; whether the event was set."""
        ...
