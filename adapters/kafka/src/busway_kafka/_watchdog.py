"""Noticing that a part of a member died, and making it anew.

What can go wrong with a broker is handled where it is asked. Whatever else ends a task is a
mistake, ours or our client's: without this the member would stand still, and look well.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

__all__ = ["Watchdog"]

_log = logging.getLogger("busway.kafka")
_BACKOFF = (0.05, 0.5, 2.0)
_LONG = 60.0
"""Seconds for which one has to live for its earlier deaths to be forgotten."""


class Watchdog:
    """Of one feed. ``reset`` is called before one is made anew: what the dead one left half done
    shall be begun again; ``beyond`` when one dies again and again."""

    def __init__(
        self, group: str, reset: Callable[[], None], beyond: Callable[[BaseException], None]
    ) -> None:
        self.rebuilt = 0
        self._group = group
        self._reset = reset
        self._beyond = beyond

    def keep(self, name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """A task in which ``run`` goes on until that is cancelled."""
        return asyncio.create_task(self._keep(name, run))

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        deaths = 0
        while True:
            began = time.monotonic()
            try:
                await run()
                error: Exception = RuntimeError("it ended by itself")
            except Exception as caught:
                error = caught
            deaths = 0 if time.monotonic() - began > _LONG else deaths
            if deaths == len(_BACKOFF):
                self._beyond(error)
                return
            _log.error("group %r: its %s died and is made anew", self._group, name, exc_info=error)
            self.rebuilt += 1
            self._reset()
            await asyncio.sleep(_BACKOFF[deaths])
            deaths += 1
