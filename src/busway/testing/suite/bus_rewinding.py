"""What becomes of a group that is moved while nobody listens in it."""

from __future__ import annotations

from typing import Any

from busway import Backoff, Bus, Retry
from busway.transport import Rewinds

from ._base import missing
from ._bus_base import BusSuiteBase
from ._town import Seen, Town

__all__ = ["RewindingGroups"]

_LATER = Retry(attempts=3, backoff=Backoff(first=0.3, jitter="none"), in_place=0.0)


class RewindingGroups(BusSuiteBase):
    async def test_a_group_that_is_rewound_handles_all_that_is_kept_again_in_order(
        self, town: Town
    ) -> None:
        if not isinstance(town.transport, Rewinds) or not self.keeps_history:
            missing("Rewinds, or keeps_history")
        billing, audit = town.seen(), town.seen()
        async with _running(town, billing, audit) as bus:
            await town.publish(bus, range(5), key="k")
            await bus.drain(timeout=town.patience)
        async with town.bus(publish_only=True) as tool:
            await tool.rewind(town.group("billing"), to="earliest")
        async with _running(town, billing, audit) as bus:
            await town.publish(bus, [5], key="k")
            await billing.count(11)
            await bus.drain(timeout=town.patience)
        assert billing.items == [*((n, 1) for n in range(5)), *((n, 1) for n in range(6))]
        assert audit.items == [(n, 1) for n in range(6)]

    async def test_what_a_rewound_group_tries_again_keeps_its_attempt(self, town: Town) -> None:
        if not isinstance(town.transport, Rewinds):
            missing("Rewinds")
        seen = town.seen()
        async with _failing(town, seen) as bus:
            await town.publish(bus, ["a"])
            await bus.drain(timeout=town.patience, later=False)
        async with town.bus(publish_only=True) as tool:
            await tool.rewind(town.group("billing"), to="latest")
        async with _failing(town, seen) as bus:
            await seen.count(2)
            await bus.drain(timeout=town.patience)
        assert seen.items == [("a", 1), ("a", 2)]


def _running(town: Town, billing: Seen[Any], audit: Seen[Any]) -> Bus:
    bus = town.bus()
    bus.add(town.noting(billing), town.topic, group=town.group("billing"))
    bus.add(town.noting(audit), town.topic, group=town.group("audit"))
    return bus


def _failing(town: Town, seen: Seen[Any]) -> Bus:
    """It fails at what it has for the first time, and tries again when it has stopped."""
    bus = town.bus(retry=_LATER)
    handler = town.noting(seen, lambda message: message.attempt == 1)
    bus.add(handler, town.topic, group=town.group("billing"))
    return bus
