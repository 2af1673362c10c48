"""``broadcast=True``: every process, from now on, and nothing is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from busway import Backoff, Bus, Message, OptionError, Retry
from busway.memory import MemoryTransport
from busway.testing import PartitionedLog
from busway.transport import Transport

__all__: list[str] = []

pytestmark = pytest.mark.anyio

Make = Callable[[], Transport]
OVER = pytest.mark.parametrize("make", [lambda: MemoryTransport(history=100), PartitionedLog])


class Process:
    """One bus that notes what it is broadcast."""

    def __init__(self, transport: Transport, fail: bool = False) -> None:
        self.seen: list[tuple[Any, int]] = []
        self.bus = Bus(
            transport,
            service="web",
            retry=Retry(attempts=3, backoff=Backoff(first=0.01, jitter="none"), in_place=0.0),
        )

        async def forget(item: str, message: Message[str]) -> None:
            self.seen.append((item, message.attempt))
            if fail:
                raise ValueError(item)

        self.bus.add(forget, "price.*", broadcast=True, group="cache")


@OVER
async def test_every_process_gets_every_event(make: Make) -> None:
    transport = make()
    one, two = Process(transport), Process(transport)
    async with one.bus, two.bus:
        for item in ("tea", "jam"):
            await one.bus.publish("price.changed", item)
        await one.bus.drain(timeout=5)
        await two.bus.drain(timeout=5)
    assert sorted(one.seen) == sorted(two.seen) == [("jam", 1), ("tea", 1)]


@OVER
async def test_it_begins_now_whatever_is_kept(make: Make) -> None:
    transport = make()
    async with transport:
        async with Bus(transport, service="shop") as shop:
            await shop.publish("price.changed", "before")
        process = Process(transport)
        async with process.bus:
            await process.bus.publish("price.changed", "after")
            await process.bus.drain(timeout=5)
    assert process.seen == [("after", 1)]


@OVER
async def test_nothing_is_kept_for_a_process_that_is_gone(make: Make) -> None:
    transport = make()
    async with transport:
        gone = Process(transport)
        async with gone.bus:
            pass
        async with Bus(transport, service="shop") as shop:
            await shop.publish("price.changed", "meanwhile")
            assert await shop.groups() == []
        async with gone.bus:
            await gone.bus.publish("price.changed", "back")
            await gone.bus.drain(timeout=5)
    assert gone.seen == [("back", 1)]


@OVER
async def test_what_fails_is_retried_in_place_then_dropped_and_counted(make: Make) -> None:
    transport = make()
    failing, other = Process(transport, fail=True), Process(transport)
    async with failing.bus, other.bus:
        await other.bus.publish("price.changed", "tea")
        await failing.bus.drain(timeout=5)
        await other.bus.drain(timeout=5)
    assert failing.seen == [("tea", 1), ("tea", 2), ("tea", 3)]
    assert other.seen == [("tea", 1)]
    assert (failing.bus.stats().dropped, failing.bus.stats().dead) == (1, 0)


async def test_it_takes_no_other_start() -> None:
    with pytest.raises(OptionError, match="begins now"):
        Bus().add(lambda item: None, "price.*", broadcast=True, start="earliest")
