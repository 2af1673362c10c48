"""Giving back what was not handled, and what the broker could not be told of yet.

What could not be given back is *owed*. It is tried again, with backoff, until the broker has heard
of it, the loan is lost, or this process leaves the group. Until then nothing of its lanes starts
here, and its loan is prolonged: what is younger must not overtake it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import random

import anyio

from ._lanes import Lanes
from ._settle import Settler
from ._verdict import Backoff
from .message import Envelope
from .transport import Delivery

__all__ = ["Returns"]

_WAITS = Backoff(first=0.05, factor=2.0, cap=5.0)


class Returns:
    """What one group gives back."""

    def __init__(
        self,
        settler: Settler,
        lanes: Lanes,
        forget: Callable[[Sequence[Delivery]], None],
        look_again: Callable[[], None],
    ) -> None:
        self._settler = settler
        self._lanes = lanes
        self._forget = forget
        self._look_again = look_again
        self.owed: list[Delivery] = []
        """What could not be given back yet, each lane's in its order."""
        self._failures = 0
        self._next = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time for another try."""
        return bool(self.owed) and (
            anyio.current_time() >= self._next or any(each.lost for each in self.owed)
        )

    async def give(self, deliveries: Sequence[Delivery]) -> None:
        """Give these back unhandled. They are held no longer, or owed."""
        if not deliveries:
            return
        told = False
        try:
            told = await self._settler.release(deliveries, again=self._failures > 0)
        finally:  # cancelled, too: the last words are about them
            if told:
                self._owe(self._overtaking(deliveries))
                self._forget(deliveries)
            else:
                self._owe(deliveries)
                self._wait()

    async def again(self) -> None:
        """Another try, with what came for the lanes meanwhile: handed out anew, it comes behind."""
        self._settled([each for each in self.owed if each.lost])  # somebody else has these
        if not self.owed:
            return
        lanes = {each.lane for each in self.owed if each.lane is not None}
        self._owe(self._lanes.withdraw(lambda delivery: delivery.lane in lanes))
        owed = self.owed[:]
        if not await self._settler.release(owed, again=True):
            self._wait()
            return
        self._failures, self._next = 0, 0.0
        self._owe(self._overtaking(owed))
        self._settled(owed)

    async def insist(self) -> None:
        """Until nothing is owed. The caller brings the deadline."""
        while self.owed:
            await anyio.sleep(max(0.0, self._next - anyio.current_time()))
            await self.again()

    def _owe(self, deliveries: Sequence[Delivery]) -> None:
        for each in deliveries:
            self._lanes.bar(each)
        self.owed.extend(deliveries)

    def _wait(self) -> None:
        self._failures += 1
        self._next = anyio.current_time() + _WAITS.wait(self._failures, random())

    def _overtaking(self, returned: Sequence[Delivery]) -> list[Delivery]:
        """Take out what arrived while these were given back: it was handed out before they were,
        unless one of them is here again."""
        lanes = {each.lane for each in returned if each.lane is not None}
        ids = {each.content.id for each in returned if isinstance(each.content, Envelope)}
        here = [each for each in self._lanes.waiting() if each.lane in lanes]
        for each in here:
            if isinstance(each.content, Envelope) and each.content.id in ids:
                lanes.discard(each.lane)
        return self._lanes.withdraw(lambda delivery: delivery.lane in lanes) if here else []

    def _settled(self, deliveries: Sequence[Delivery]) -> None:
        """These are owed no longer. Their lanes are open where nothing else of them is owed."""
        if not deliveries:
            return
        settled = set(deliveries)
        self.owed[:] = [each for each in self.owed if each not in settled]
        lanes = {each.lane for each in self.owed}
        for each in deliveries:
            if each.lane in lanes:
                self._lanes.unpark()
            else:
                self._lanes.unbar(each)
        self._forget(deliveries)
        self._look_again()
