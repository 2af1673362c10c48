"""The clock that is used when nobody brings another."""

from __future__ import annotations

import time

import anyio

__all__ = ["SystemClock"]


class SystemClock:
    """The machine's clock, as a ``busway.transport.Clock``."""

    __slots__ = ()

    def time(self) -> float:
        """Seconds since 1970 (UTC)."""
        return time.time()

    async def wait(self, event: anyio.Event, until: float | None, /) -> bool:
        """Wait for the event, at most until that moment; whether the event was set.

        The wait is measured from now on by the loop's own clock: when somebody sets the machine's
        clock meanwhile it can end early or late, so callers look at ``time()`` again.
        """
        if until is None:
            await event.wait()
            return True
        with anyio.move_on_after(max(0.0, until - time.time())):
            await event.wait()
        return event.is_set()
