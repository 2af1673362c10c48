"""Many who wait, each until a moment, at the price of one timer for all of them."""

from __future__ import annotations

import asyncio
import math
import time

__all__ = ["Deadlines", "Waiting"]


class Waiting:
    """Who waits for so many answers. ``future`` is done when all came, or the time is over."""

    __slots__ = ("future", "left", "until")

    def __init__(self, future: asyncio.Future[None], left: int, until: float) -> None:
        self.future = future
        self.left = left
        self.until = until

    def tell(self) -> None:
        """One more came."""
        self.left -= 1
        if self.left <= 0:
            self.wake()

    def wake(self) -> None:
        """All came."""
        if not self.future.done():
            self.future.set_result(None)


class Deadlines:
    """A timer of one's own for each wait costs more than all else of a wait."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        """Asked for once: before Python 3.12 each time is a call of the system's ``getpid``."""
        self._open: set[Waiting] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._fires = math.inf

    def begin(self, until: float, left: int = 1) -> Waiting:
        """Waits for so many answers, until then (of ``time.monotonic``) at the longest. Whoever
        began calls ``end``, whatever came of it."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        waiting = Waiting(loop.create_future(), left, until)
        self._open.add(waiting)
        if until < self._fires:
            self._arm(loop, until)
        return waiting

    def end(self, waiting: Waiting) -> None:
        """Nobody waits for it any more."""
        self._open.discard(waiting)

    def close(self) -> None:
        """All of them have their answers. Who begins after this may be on another event loop."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop, self._timer, self._fires = None, None, math.inf

    def _arm(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires = until
        self._timer = loop.call_later(max(0.0, until - time.monotonic()), self._fire, loop)

    def _fire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer, self._fires = None, math.inf
        now, soonest = time.monotonic(), math.inf
        for waiting in self._open:
            if waiting.until <= now:
                waiting.wake()
            else:
                soonest = min(soonest, waiting.until)
        if soonest < math.inf:
            self._arm(loop, soonest)
