"""Events that wait until a test lets them go, one step after another."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import msgspec

from busway import Bus
from busway.errors import MissingPower, OptionError
from busway.transport import Delivery, Feed, Group, GroupState, ManagesGroups, Transport

from ._flaky import Flaky
from ._flaky_feed import FlakyFeed, flaky_feed

__all__ = ["Stepped", "drain_once"]


class Stepped(Flaky):
    """Wraps a transport, and hands out only what ``drain_once`` lets go.

    It has the powers of the transport inside, and can be told to fail like ``Flaky``. What it does
    not let go waits, in its order; ``groups()`` does not count it, so that ``drain``, ``stop`` and
    ``captured.settled()`` do not wait for it either. Raises MissingPower for a transport that
    cannot tell what waits.
    """

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        if not isinstance(self.inner, ManagesGroups):
            raise MissingPower(
                f"Stepped({self.inner!r}) cannot know what waits (power: ManagesGroups)"
            )
        self._free: dict[str, int] = {}
        self._freed = anyio.Event()

    async def groups(self) -> Sequence[GroupState]:
        return [
            msgspec.structs.replace(each, lag=min(each.lag or 0, self.free(each.name)))
            for each in await self.inner.groups()
        ]

    async def let_go(self) -> int:
        """Let go what waits now, in every group. How many deliveries that is."""
        states: Sequence[GroupState] = await self.inner.groups()
        self._free = {each.name: each.lag or 0 for each in states if each.members}
        self._freed.set()
        self._freed = anyio.Event()
        return sum(self._free.values())

    def free(self, group: str) -> int:
        """How many deliveries of the group may still be handed out."""
        return self._free.get(group, 0)

    async def claim(self, group: str, limit: int) -> int:
        """Wait until some may be handed out; how many, at most ``limit``, are this one's."""
        while not self.free(group):
            await self._freed.wait()
        count = min(limit, self._free[group])
        self._free[group] -= count
        return count

    def give_back(self, group: str, count: int) -> None:
        """So many were claimed and not handed out."""
        self._free[group] = self.free(group) + count

    def wrap(self, feed: Feed, group: Group) -> Feed:
        stepped = flaky_feed(self, feed, _SteppedFeed)
        stepped.stepped, stepped.group = self, group.name
        return stepped


class _SteppedFeed(FlakyFeed):
    stepped: Stepped
    group: str

    async def receive(self, limit: int, /) -> Sequence[Delivery]:
        claimed = await self.stepped.claim(self.group, limit)
        handed: Sequence[Delivery] = ()
        try:
            handed = await super().receive(claimed)
        finally:
            self.stepped.give_back(self.group, claimed - len(handed))
        return handed


async def drain_once(bus: Bus, *, timeout: float = 5.0) -> int:
    """Handle what waits now in the groups of a bus over ``Stepped``, once; returns how many
    deliveries were handed out. (A log hands out what no pattern of the group matches, too.)

    ```python
    from busway import Bus
    from busway.memory import MemoryTransport
    from busway.testing import Stepped, VirtualClock

    bus = Bus(Stepped(MemoryTransport()), service="test", clock=VirtualClock())
    ```

    What the handlers publish, and what is sent again for a retry, waits for the next call. A retry
    that keeps its lane (one with a short wait, by default up to a second) is no new delivery: it
    waits for its time, as always; with a ``VirtualClock`` that is until the clock is moved. A batch
    that is not full stays open in the same way.

    Raises:
        OptionError: the bus is not over ``Stepped``.
        TimeoutError: the handlers have not ended within ``timeout`` seconds (of real time).
        StateError: the bus does not run.
    """
    transport = bus.transport
    if not isinstance(transport, Stepped):
        raise OptionError(
            f"drain_once({bus!r}): its events are handled as they come. To let them go step by "
            "step, make it over Stepped: Bus(Stepped(MemoryTransport()))"
        )
    await bus.drain(timeout=timeout, later=False)  # what a step before it left, or emit buffered
    count = await transport.let_go()
    await bus.drain(timeout=timeout, later=False)
    return count
