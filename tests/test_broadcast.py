"""Broadcast: every process, from now on, and nothing kept for one that is gone."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from busway import Backoff, Bus, Message, Retry
from busway.errors import OptionError
from busway.memory import MemoryTransport
from busway.middleware import Hooks, trace
from tests.facts import PATIENCE, LeapingClock, Seen, noting, quick, turns, until, up

pytestmark = pytest.mark.anyio


async def test_every_process_gets_every_event() -> None:
    transport = MemoryTransport()
    buses = [Bus(transport, service="s") for _ in range(3)]
    seen = [Seen() for _ in buses]
    for bus, each in zip(buses, seen, strict=True):
        bus.add(noting(each), "a.b", group="cache", broadcast=True)
    with anyio.fail_after(PATIENCE):
        async with buses[0], buses[1], buses[2]:
            for n in range(5):
                await buses[n % 3].publish("a.b", n)
            for each in seen:
                await each.count(5)
    assert all(each.items == [0, 1, 2, 3, 4] for each in seen)


async def test_it_begins_now_and_leaves_nothing_behind() -> None:
    transport = MemoryTransport(history=100)
    publisher, bus, seen = Bus(transport), Bus(transport), Seen()
    bus.add(noting(seen), "a.b", broadcast=True, group="cache")
    async with up(publisher):
        await publisher.publish("a.b", "before")
        async with bus:
            await publisher.publish("a.b", "while")
            await seen.count(1)
        assert await transport.groups() == []
        await publisher.publish("a.b", "after")
        async with bus:
            await turns()
    assert seen.items == ["while"]


class Dropped(Hooks):
    def __init__(self) -> None:
        self.whys: list[str] = []

    def dropped(self, details: Any) -> None:
        self.whys.append(details.why)


async def test_what_fails_is_tried_again_here_and_then_dropped_without_a_letter() -> None:
    hooks, attempts, seen = Dropped(), Seen(), Seen()
    bus = Bus(retry=quick(3), middleware=[trace(hooks)])

    @bus.subscribe("a.b", group="cache", broadcast=True)
    async def handle(data: Any, message: Message[Any]) -> None:
        attempts.add(message.attempt)
        if data == 1:
            raise ValueError("no")
        seen.add(data)

    async with up(bus):
        await bus.publish("a.b", 1)
        await bus.publish("a.b", 2)
        await bus.drain()
        (state,) = await bus.groups()
        assert state.dead == 0
    assert sorted(attempts.items) == [1, 1, 2, 3]
    assert seen.items == [2]
    assert bus.stats().dropped == 1
    assert bus.stats().dead == 0
    assert "broadcast is not kept" in hooks.whys[0]


async def test_a_long_wait_stays_in_this_process() -> None:
    clock, seen = LeapingClock(), Seen()
    bus = Bus(clock=clock, retry=Retry(2, Backoff(60.0, jitter="none")))

    @bus.subscribe("a.b", group="cache", broadcast=True)
    async def handle(data: Any, message: Message[Any]) -> None:
        seen.add(message.attempt)
        if message.attempt == 1:
            raise ValueError("no")

    async with up(bus):
        await bus.publish("a.b", 1)
        await until(lambda: bus.stats().groups[0].waiting == 1)
        (state,) = await bus.groups()
        assert (state.delayed, state.pending) == (0, 1)
        clock.leap(60)
        assert await seen.count(2) == [1, 2]


def test_broadcast_begins_now_and_takes_no_other_start() -> None:
    with pytest.raises(OptionError, match="begins now"):
        Bus().add(noting(Seen()), "a.b", broadcast=True, start="earliest")
