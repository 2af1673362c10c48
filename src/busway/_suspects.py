"""Deliveries that somebody had and never finished: one of them may end the process that handles it.

A suspect runs alone. Everything else this member holds is given back first, so that, if it does end
the process, only its own count of hand-outs goes up and its neighbours are not blamed.
"""

from __future__ import annotations

import anyio

from ._crew import Crew
from ._keeper import Keeper
from .transport import Delivery

__all__ = ["Suspects"]


class Suspects:
    """Running one delivery with nothing beside it."""

    def __init__(self, crew: Crew, keeper: Keeper) -> None:
        self._crew = crew
        self._keeper = keeper
        self.wary = False
        """The last one handled was a suspect: fetch one at a time."""

    async def lost(self, delivery: Delivery) -> Delivery | None:
        """The loan ended before its turn came: it is somebody else's now."""
        self._crew.runtime.counters.lost += 1
        await self._crew.settler.release([delivery])
        self._crew.forget([delivery])
        return self._crew.lanes.after(delivery)

    async def isolate(self, delivery: Delivery) -> bool:
        """Wait until nothing else runs here. False: another suspect runs; this one was given
        back."""
        crew = self._crew
        if crew.alone:
            await self._give_back([delivery])
            return False
        crew.alone = True
        crew.gate()
        try:
            await self._give_back(self._keeper.take_back())
            await self._quiet()
            # What was running may have failed meanwhile and waits for its next attempt.
            await self._give_back(self._keeper.take_back())
            if crew.acks:
                await crew.flush()
        except BaseException:
            self.rejoin()
            raise
        return True

    async def _quiet(self) -> None:
        crew = self._crew
        quiet = anyio.Event()

        def look() -> None:
            if len(crew.idle) >= crew.workers - 1:
                quiet.set()

        crew.quiet = look
        try:
            crew.interrupt()
            look()
            await quiet.wait()
        finally:
            crew.quiet = None

    def rejoin(self) -> None:
        """The suspect is settled: the others may go on."""
        self._crew.alone = False
        self._crew.gate()

    async def _give_back(self, deliveries: list[Delivery]) -> None:
        await self._crew.returns.give(deliveries)
