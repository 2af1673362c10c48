"""Many who wait, each until a moment, at the price of one timer for all of them."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time

__all__ = ["Deadlines", "Waiting"]


class Waiting:
    """Who waits for so many answers. ``future`` is done when all came, or the time is over."""

    __slots__ = ("future", "left")

    def __init__(self, future: asyncio.Future[None]) -> None:
        self.future = future
        self.left = 1

    def tell(self) -> None:
        """One more came."""
        self.left -= 1
        if self.left <= 0 and not self.future.done():
            self.future.set_result(None)


class Deadlines:
    """A timer of one's own for each wait costs more than all else of a wait."""

    def __init__(self) -> None:
        self._order = itertools.count()
        self._heap: list[tuple[float, int, asyncio.Future[None]]] = []
        self._timer: asyncio.TimerHandle | None = None

    def future(self, until: float) -> Waiting:
        """Waits until then (of ``time.monotonic``) at the longest."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        heap = self._heap
        heapq.heappush(heap, (until, next(self._order), future))
        if self._timer is None or heap[0][2] is future:
            self._arm(loop)
        return Waiting(future)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        pause = max(0.0, self._heap[0][0] - time.monotonic())
        self._timer = loop.call_later(pause, self._fire, loop)

    def _fire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        heap, now = self._heap, time.monotonic()
        while heap and (heap[0][2].done() or heap[0][0] <= now):
            future = heapq.heappop(heap)[2]
            if not future.done():
                future.set_result(None)
        if heap:
            self._arm(loop)
