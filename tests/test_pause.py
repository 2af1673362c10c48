"""A paused group starts nothing more, keeps everything, and goes on where it was."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from busway import Backoff, Batch, Bus, Message, Retry
from tests.facts import PATIENCE, LeapingClock, Seen, noting, turns, until, up

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_after_pause_nothing_starts_that_was_fetched_already(concurrency: int) -> None:
    bus, seen = Bus(), Seen()

    async def handle(data: Any, message: Message[Any]) -> None:
        seen.add(data)
        if data == 4:
            subscription.pause()

    subscription = bus.add(handle, "a.b", concurrency=concurrency)
    subscription.pause()
    async with up(bus):
        for n in range(20):
            await bus.publish("a.b", n, key="k")
        subscription.resume()
        await seen.count(5)
        await turns()
        assert seen.items == [0, 1, 2, 3, 4]
        subscription.resume()
        await seen.count(20)
    assert seen.items == list(range(20))


async def test_a_group_paused_before_the_start_receives_nothing_until_it_is_resumed() -> None:
    bus, seen = Bus(), Seen()
    subscription = bus.add(noting(seen), "a.b")
    subscription.pause()
    async with up(bus):
        await bus.publish("a.b", 1)
        await turns()
        assert seen.items == []
        assert subscription.paused
        subscription.resume()
        assert await seen.count(1) == [1]


async def test_a_retry_that_comes_due_waits_for_the_resume() -> None:
    clock, seen = LeapingClock(), Seen()
    bus = Bus(clock=clock, retry=Retry(2, Backoff(1.0, jitter="none")))

    async def handle(data: Any, message: Message[Any]) -> None:
        seen.add(message.attempt)
        raise ValueError("no")

    subscription = bus.add(handle, "a.b", group="g")
    async with up(bus):
        await bus.publish("a.b", 1)
        await until(lambda: bus.stats().retried == 1)
        subscription.pause()
        clock.leap(5.0)
        await turns()
        assert seen.items == [1]
        subscription.resume()
        await seen.count(2)


async def test_other_groups_go_on() -> None:
    bus, paused, other = Bus(), Seen(), Seen()
    bus.add(noting(paused), "a.b", group="paused").pause()
    bus.add(noting(other), "a.b", group="other")
    async with up(bus):
        await bus.publish("a.b", 1)
        await other.count(1)
    assert paused.items == []


async def test_a_batch_that_is_full_waits_for_the_resume() -> None:
    bus, seen = Bus(), Seen()

    async def handle(data: list[Any]) -> None:
        seen.add(data)

    subscription = bus.add(handle, "a.b", batch=Batch(2, within=3600))
    async with up(bus):
        await bus.publish("a.b", 1)
        await until(lambda: bus.stats().groups[0].in_flight == 1)
        subscription.pause()
        await bus.publish("a.b", 2)
        await turns()
        assert seen.items == []
        subscription.resume()
        assert await seen.count(1) == [[1, 2]]


async def test_stopping_does_not_wait_for_a_paused_group_and_loses_nothing_of_it() -> None:
    from busway.memory import MemoryTransport

    transport = MemoryTransport()
    bus = Bus(transport)
    bus.add(noting(Seen()), "a.b", group="g").pause()
    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", 1)
        again, seen = Bus(transport), Seen()
        again.add(noting(seen), "a.b", group="g")
        async with again:
            assert await seen.count(1) == [1]
