"""What a handler can hold against an owner that was only slow."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from busway import Bus, Message
from busway.memory import MemoryTransport
from busway.testing import PartitionedLog
from busway.testing._member import LogFeed
from busway.transport import Transport
from tests.facts import Seen, until, up

__all__: list[str] = []

pytestmark = pytest.mark.anyio


def billing(transport: Transport, handler: Any) -> Bus:
    bus = Bus(transport, service="shop")
    bus.add(handler, "order.*", group="billing")
    return bus


async def test_a_handler_sees_the_fence_of_its_loan() -> None:
    fences = Seen()

    async def handle(_: Any, message: Message[Any]) -> None:
        fences.add(message.fence)

    log = PartitionedLog()
    async with log:
        for _ in range(3):
            async with up(billing(log, handle)) as bus:
                await bus.publish("order.placed", 1, key="o-1")
                await fences.count(len(fences.items) + 1)
    assert fences.items == [1, 2, 3]


async def test_there_is_none_where_several_members_may_have_one_key() -> None:
    fences = Seen()

    async def handle(_: Any, message: Message[Any]) -> None:
        fences.add(message.fence)

    async with up(billing(MemoryTransport(), handle)) as bus:
        await bus.publish("order.placed", 1, key="o-1")
        assert await fences.count(1) == [None]


async def test_a_store_can_refuse_an_owner_that_was_only_slow() -> None:
    """The partition moves while the handler stands still, and the handler wakes up afterwards."""
    stored: dict[str, tuple[int, str]] = {}
    refused: list[str] = []
    inside, go_on = anyio.Event(), anyio.Event()

    def write(key: str, fence: int, who: str) -> None:
        if key in stored and stored[key][0] > fence:
            refused.append(who)
        else:
            stored[key] = fence, who

    async def slow(_: Any, message: Message[Any]) -> None:
        inside.set()
        await go_on.wait()
        assert message.lost
        assert message.fence is not None
        write("o-1", message.fence, "slow")

    async def quick(_: Any, message: Message[Any]) -> None:
        assert message.fence is not None
        write("o-1", message.fence, "quick")

    log = PartitionedLog(partitions=1, patience=0.0)
    first, second = billing(log, slow), billing(log, quick)
    async with log, up(first):
        await first.publish("order.placed", 1, key="o-1")
        with anyio.fail_after(5):
            await inside.wait()
        (feed,) = log._cohorts["billing"].members
        assert isinstance(feed, LogFeed)
        async with up(second):
            log.expel(feed)
            await until(lambda: bool(stored))
            go_on.set()
            await until(lambda: bool(refused))
    assert (stored["o-1"], refused) == ((2, "quick"), ["slow"])
