"""Fetching for the workers of one group: one of them at a time, as much as there is room for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import random

import anyio
import anyio.lowlevel

from ._blame import blame
from ._crew import Crew
from ._keeper import Keeper
from ._members import Members
from ._suspects import Suspects
from ._verdict import Backoff
from .errors import TransportError
from .transport import Delivery, Feed, Fresh

__all__ = ["Intake"]

_TURN = 0.02
_RECONNECT = Backoff(first=0.05, factor=2.0, cap=10.0)


class Intake:
    """What came in, and how fast."""

    def __init__(
        self, crew: Crew, feed: Feed, keeper: Keeper, members: Members, suspects: Suspects
    ) -> None:
        self._crew = crew
        self._runtime = crew.runtime
        self._feed = feed
        self._keeper = keeper
        self._members = members
        self._suspects = suspects
        self._failures = 0
        self._fetched = 0
        self._fetched_at = self._turn_ends = time.perf_counter()

    async def more(self, scope: anyio.CancelScope) -> bool:
        """Fetch, or sleep until there is something to do. False: leave the scope."""
        crew = self._crew
        room = crew.lanes.room()
        if crew.stopping:
            return False
        if crew.fetching is not None or crew.paused or crew.alone or room <= 0:
            await crew.wait_idle()
            if crew.receives and crew.lanes.waits:
                crew.wake(1)
            return True
        crew.fetching = scope
        try:
            batch = await self._feed.receive(1 if self._suspects.wary else room)
        except TransportError as error:
            await self._broken(error)
            return not scope.cancel_called
        except BaseException as error:
            blame(self._runtime.transport, "receive", error)
        finally:
            crew.fetching = None
        now = time.perf_counter()
        lanes = crew.lanes
        lanes.measured(self._fetched, now - self._fetched_at)
        self._fetched, self._fetched_at = len(batch), now
        if self._failures or self._runtime.watchers.received:
            self.tell_received(batch)
        self._suspects.wary = False
        self.arrived()
        if type(batch) is Fresh:
            if batch.loan is not None:
                crew.tracked = crew.loans = True
            lanes.offer(batch)
        else:
            if batch and batch[0].loan is not None:
                crew.tracked = crew.loans = True
            lanes.put(batch)
        if crew.idle:
            # One of them comes while this one handles, and wakes the next if there is more to do:
            # where handlers never wait, all the others would be woken for nothing.
            crew.wake(1)
        if now > self._turn_ends:
            # Handlers that never wait, and publish what they handle next, would let nobody else go.
            await anyio.lowlevel.checkpoint()
            self._turn_ends = time.perf_counter() + _TURN
        return not scope.cancel_called

    def arrived(self) -> None:
        """Something is here: what was known of the others is old, and time matters again."""
        self._members.stale = self._keeper.lively = True
        if self._keeper.asleep:
            self._keeper.nudge()

    def tell_received(self, batch: Sequence[Delivery]) -> None:
        """Say that these came, to whoever wants to know."""
        if self._failures:
            self._failures = 0
            self._runtime.log.warning("group %r: receiving again", self._crew.group.name)
        if self._runtime.watchers.received:
            for delivery in batch:
                details = (self._crew.group.name, delivery.attempt, delivery.delivered)
                self._runtime.tell("received", delivery.content, *details)

    async def _broken(self, error: TransportError) -> None:
        self._failures += 1
        if self._failures == 1:
            self._runtime.log.error(
                "group %r cannot receive and tries on: %s", self._crew.group.name, error
            )
        await anyio.sleep(_RECONNECT.wait(self._failures, random()))
