"""Where the promises end, as the semantics page says it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from busway import Bus, Reject, TooLarge
from busway.testing import Flaky, PartitionedLog

__all__: list[str] = []

pytestmark = pytest.mark.anyio


async def ignore(data: Any) -> None: ...


async def test_an_event_that_no_group_matches_is_gone_and_no_error() -> None:
    bus = Bus()
    bus.add(ignore, "order.*")
    async with bus:
        await bus.publish("parcel.sent", {})
        await bus.drain(timeout=5)
    assert (bus.stats().published, bus.stats().handled, bus.stats().dropped) == (1, 0, 0)


async def test_what_comes_and_no_handler_of_the_group_matches_is_counted() -> None:
    """A log is read by the channel, and `order.paid` lies in that of `order.placed`."""
    bus = Bus(PartitionedLog(), service="shop")
    bus.add(ignore, "order.placed", group="billing")
    async with bus:
        await bus.publish("order.paid", {})
        await bus.publish("order.placed", {})
        await bus.drain(timeout=5)
    assert (bus.stats().unmatched, bus.stats().handled, bus.stats().dead) == (1, 1, 0)


async def test_what_no_handler_of_the_group_matches_is_acknowledged_together() -> None:
    """In a channel that many share, nearly all may be nobody's here."""
    transport = Flaky(PartitionedLog())
    bus = Bus(transport, service="shop")
    bus.add(ignore, "order.placed", group="billing")
    async with Bus(transport, service="web", publish_only=True) as web:
        await web.publish_many([web.envelope("order.paid", n) for n in range(100)])
        async with bus:
            await bus.drain(timeout=5)
    assert (bus.stats().unmatched, bus.stats().handled) == (100, 0)
    assert transport.calls["ack"] < 30


async def test_memory_keeps_so_many_dead_letters_and_says_when_it_drops_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = Bus("memory://?dead=2")

    async def refuse(n: int) -> None:
        raise Reject(str(n))

    bus.add(refuse, "order.*", group="billing")
    async with bus:
        for n in range(3):
            await bus.publish("order.placed", n)
        await bus.drain(timeout=5)
        letters = await bus.dead_letters("billing").list()
    assert [letter.reason for letter in letters] == ["1", "2"]
    dropped = [each for each in caplog.records if "dropped" in each.getMessage()]
    assert [each.levelno for each in dropped] == [logging.ERROR]


async def test_in_process_the_size_is_looked_at_only_when_events_are_encoded() -> None:
    async with Bus(max_size=300) as bus:
        await bus.publish("order.placed", "x" * 1000)
    async with Bus("memory://?codec=json", max_size=300) as bus:
        with pytest.raises(TooLarge):
            await bus.publish("order.placed", "x" * 1000)
