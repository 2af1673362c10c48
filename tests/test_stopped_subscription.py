"""A group outlives the last subscription in it: what is published meanwhile waits for the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from busway import Bus
from busway.memory import MemoryTransport
from busway.testing import PartitionedLog
from busway.transport import Transport

__all__: list[str] = []

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("make", [MemoryTransport, PartitionedLog])
async def test_a_group_whose_subscription_was_stopped_keeps_its_events(
    make: Callable[[], Transport],
) -> None:
    bus = Bus(make(), service="shop")
    handled: list[Any] = []

    async def charge(order: dict[str, str]) -> None:
        handled.append(order["id"])

    first = bus.add(charge, "order.*", group="billing")
    async with bus:
        await first.stop()
        await bus.publish("order.placed", {"id": "o-1"})
        second = bus.add(charge, "order.*", group="billing")
        await second.ready()
        await bus.publish("order.placed", {"id": "o-2"})
        await bus.drain(timeout=5)
    assert sorted(handled) == ["o-1", "o-2"]
