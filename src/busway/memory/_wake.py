"""A reader's wake-up, the cheapest that the running event loop has.

``anyio.Event`` finds out anew which loop runs each time one is made, and that costs more than all
the rest of a receive that has to wait.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio

__all__ = ["Wake", "wakes"]


class Wake(Protocol):
    """Set and awaited once."""

    def set(self) -> object: ...

    def wait(self) -> Awaitable[object]: ...


class _Future:
    """asyncio's own, with the names of an event."""

    __slots__ = ("_future",)

    def __init__(self, create: Callable[[], Any]) -> None:
        self._future = create()

    def set(self) -> None:
        # It may be cancelled: its reader was, in the same turn of the loop.
        if not self._future.done():
            self._future.set_result(None)

    def wait(self) -> Awaitable[object]:
        future: Awaitable[object] = self._future
        return future


def wakes() -> Callable[[], Wake]:
    """What makes wake-ups for readers on the loop that runs now."""
    # Who runs on a loop has imported it; this module imports neither.
    asyncio, trio = sys.modules.get("asyncio"), sys.modules.get("trio")
    try:
        if asyncio is not None and asyncio.current_task() is not None:
            create = asyncio.get_running_loop().create_future
            return lambda: _Future(create)
    except RuntimeError:
        pass  # no asyncio loop runs
    if trio is not None:
        return trio.Event  # type: ignore[no-any-return]
    return anyio.Event
