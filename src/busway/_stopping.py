"""One stop of a bus: until when, and its steps in their order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import anyio

from ._drain import Drain
from ._group import GroupRunner
from ._inside import Step
from ._runtime import Runtime
from .transport import Volatile

__all__ = ["Stopping"]

_SILENT = 1.0
"""Seconds a stop may take before it says why."""


class Stopping:
    """How one life of a bus ends; made when it begins."""

    def __init__(self, runtime: Runtime, drain: Drain, runners: Mapping[str, GroupRunner]) -> None:
        self.asked = anyio.Event()
        self._runtime = runtime
        self._drain = drain
        self._runners = runners
        self._deadline = math.inf
        self._grace: anyio.CancelScope | None = None

    def shorten(self, grace: float) -> None:
        """It ends within ``grace`` seconds from now, or sooner if that was said before."""
        self._deadline = min(self._deadline, anyio.current_time() + max(grace, 0.0))
        if self._grace is not None:
            self._grace.deadline = self._deadline

    @property
    def seconds_left(self) -> float:
        """Of the grace."""
        return max(0.0, self._deadline - anyio.current_time())

    @property
    def held(self) -> int:
        """Deliveries that are being handled or wait in this process."""
        consumers = [r.consumer for r in self._runners.values() if r.consumer is not None]
        return sum(consumer.crew.lanes.held for consumer in consumers)

    async def carry_out(self, before_close: Sequence[Step]) -> None:
        """Everything but the cancelling of what is left then."""
        with anyio.CancelScope(deadline=self._deadline) as self._grace:
            for leave in before_close:
                await leave()
            if isinstance(self._runtime.transport, Volatile):
                await self._drain.wait(list(self._runners.values()), self._deadline)
            # Replies last: a handler that is to finish may wait for one.
            for private in (False, True):
                await self._end_groups(private)
        self._say_cancelled()

    async def _end_groups(self, private: bool) -> None:
        runners = [r for r in self._runners.values() if r.private is private]
        for runner in runners:
            await runner.end()
        for runner in runners:
            await runner.ended.wait()

    def _say_cancelled(self) -> None:
        left = [
            runner.name
            for runner in self._runners.values()
            if runner.consumer is not None and not runner.consumer.crew.at_rest
        ]
        if left:
            self._runtime.log.warning(
                "grace is over: handlers of %s are cancelled and their events given back",
                ", ".join(left),
            )

    async def say_what_is_awaited(self, finished: anyio.Event, *, counting: bool) -> None:
        """A stop that takes long looks like a process that hangs, if it does not say why.

        ``counting``: somebody else says how long it takes.
        """
        log, said = self._runtime.log, counting
        while not finished.is_set():
            over = self.seconds_left <= 0
            with anyio.move_on_after(_SILENT):
                await finished.wait()
                return
            if over:
                log.warning(
                    "grace is over; waiting for %d in flight that cannot be cancelled (a plain "
                    "function runs in its thread until it returns) and for the transport to close",
                    self.held,
                )
                return
            if not said and self.seconds_left > 0:
                said = True
                left = self.seconds_left
                log.warning("stopping: %d in flight, up to %.0f s left", self.held, left)
