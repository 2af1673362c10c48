"""A group outlives the last subscription in it: what is published meanwhile waits for the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
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


async def test_a_group_that_nobody_empties_holds_up_no_publisher(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Somebody subscribes for each connection, say, and takes it back."""
    bus = Bus("memory://?mailbox=4", service="shop")
    handled: list[Any] = []

    async def charge(order: dict[str, int]) -> None:
        handled.append(order["id"])

    subscription = bus.add(charge, "order.*", group="billing")
    with anyio.fail_after(5):
        async with bus:
            await subscription.stop()
            for number in range(10):
                await bus.publish("order.placed", {"id": number})
            assert "remove_group('billing')" in caplog.text
            again = bus.add(charge, "order.*", group="billing")
            await again.ready()
            await bus.drain(timeout=5)
    assert handled == list(range(10))


async def test_a_publisher_that_waits_for_room_goes_on_when_the_last_member_leaves() -> None:
    bus = Bus("memory://?mailbox=1", service="shop", max_in_flight=1)
    started, finish = anyio.Event(), anyio.Event()

    @bus.subscribe("order.*", group="billing")
    async def charge(order: dict[str, int]) -> None:
        started.set()
        await finish.wait()

    async def publish_all() -> None:
        for number in range(5):
            await bus.publish("order.placed", {"id": number})

    with anyio.fail_after(5):
        async with bus, anyio.create_task_group() as tasks:
            tasks.start_soon(publish_all)
            await started.wait()
            finish.set()
            (subscription,) = bus._parts.groups.runners["billing"].subscriptions
            await subscription.stop()
