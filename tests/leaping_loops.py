"""Event loops whose time leaps to the next moment that somebody waits for.

A minute of patience passes at once, and exactly: it needs no real time, and no number in the code
is changed for a test. Only for code that waits for nothing outside of the process, and no thread.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

from trio.testing import MockClock

__all__ = ["BACKENDS", "Backend", "backend"]

BACKENDS = ("asyncio", "trio")
Backend = tuple[str, dict[str, Any]]


class _Leaping(selectors.DefaultSelector):
    """Sleeps by saying how long it would have slept."""

    slept = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(timeout if timeout is None else 0)
        if not found and timeout is not None and timeout > 0:
            self.slept += timeout
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return super().time() + self._leaping.slept


def backend(name: str) -> Backend:
    """What a fixture ``anyio_backend`` returns."""
    if name == "trio":
        return "trio", {"clock": MockClock(autojump_threshold=0)}
    return "asyncio", {"loop_factory": _Loop}
