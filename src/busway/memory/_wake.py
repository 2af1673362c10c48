"""A reader's wake-up, the cheapest that the running event loop has.

``anyio.Event`` finds out anew which loop runs each time one is made, and that costs more than all
the rest of a receive that has to wait.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio

__all__ = ["Alarm", "Wake", "alarm"]


class Wake(Protocol):
    """Lets one reader look again."""

    def set(self) -> object: ...


class Alarm(Wake, Protocol):
    """One reader's own, used again for each of its waits."""

    def armed(self) -> Awaitable[object]:
        """Wait for the next ``set``."""
        ...


class _AsyncioAlarm:
    """On a bare future."""

    __slots__ = ("_create", "_future")

    def __init__(self, create: Callable[[], Any]) -> None:
        self._create = create
        self._future: Any = None

    def set(self) -> None:
        # It may be cancelled: its reader was, in the same turn of the loop.
        if not self._future.done():
            self._future.set_result(None)

    def armed(self) -> Awaitable[object]:
        future: Awaitable[object] = self._create()
        self._future = future
        return future


class _EventAlarm:
    """On an event of whatever loop it is."""

    __slots__ = ("_create", "_event")

    def __init__(self, create: Callable[[], Any]) -> None:
        self._create = create
        self._event: Any = None

    def set(self) -> None:
        self._event.set()

    def armed(self) -> Awaitable[object]:
        self._event = self._create()
        waiting: Awaitable[object] = self._event.wait()
        return waiting


def alarm() -> Alarm:
    """The alarm of a reader on the loop that runs now."""
    # Who runs on a loop has imported it; this module imports neither.
    asyncio, trio = sys.modules.get("asyncio"), sys.modules.get("trio")
    try:
        if asyncio is not None and asyncio.current_task() is not None:
            return _AsyncioAlarm(asyncio.get_running_loop().create_future)
    except RuntimeError:
        pass  # no asyncio loop runs
    return _EventAlarm(anyio.Event if trio is None else trio.Event)
