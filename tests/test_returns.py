"""What could not be given back is given back later, and nothing of its key overtakes it."""

from __future__ import annotations

import logging
import math
from typing import Any, Literal

import pytest

from busway import Bus
from busway.errors import TransportError
from busway.memory import MemoryTransport
from busway.testing import Flaky, PartitionedLog
from tests.facts import (
    LEASE,
    LeapingClock,
    Seen,
    quick,
    stopped_in_mid_handler,
    thirds,
    until,
    up,
)

pytestmark = pytest.mark.anyio

REFUSED = TransportError("not allowed", retryable=False)


class Failing:
    """A handler that fails at its first event, once."""

    def __init__(self, bus: Bus, **options: Any) -> None:
        self.seen = Seen()
        bus.add(self.handle, "a.b", group="g", **options)

    async def handle(self, data: Any) -> None:
        self.seen.add(data)
        if self.seen.items == [0]:
            raise ValueError("no")


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("times", [0, 3])
@pytest.mark.parametrize("how", ["refused", "unanswered"])
async def test_what_is_let_go_is_not_overtaken_by_what_follows_it_in_its_lane(
    concurrency: int, times: int, how: Literal["refused", "unanswered"]
) -> None:
    """Its dead letter is refused for good, and giving it back fails for a while."""
    transport = Flaky(MemoryTransport())
    bus = Bus(transport, retry=quick(1))
    failing = Failing(bus, concurrency=concurrency)
    transport.fail("move", error=REFUSED)
    transport.fail("release", times=times, how=how)
    async with up(bus):
        for number in range(4):
            await bus.publish("a.b", number, key="k")
        await failing.seen.count(3)
        await bus.publish("a.b", "other", key="l")
        await bus.drain()
    ours = [each for each in failing.seen.items if each != "other"]
    assert ours == [0, 0, 1, 2, 3]
    if how == "refused":
        assert transport.calls["release"] == times + 1


async def test_what_arrives_meanwhile_waits_and_other_lanes_go_on() -> None:
    transport = Flaky(MemoryTransport())
    bus = Bus(transport, retry=quick(1))
    failing = Failing(bus, concurrency=2)
    transport.fail("move", error=REFUSED)
    transport.fail("release", times=1)
    gate = transport.hold("release")
    async with up(bus):
        await bus.publish("a.b", 0, key="k")
        await gate.reached()
        await bus.publish("a.b", 1, key="k")
        for other in range(10, 15):
            await bus.publish("a.b", other, key="l")
        await until(lambda: 14 in failing.seen.items)
        assert 1 not in failing.seen.items
        gate.open()
        await bus.drain()
    assert [each for each in failing.seen.items if each < 10] == [0, 0, 1]


async def test_it_is_said_once_that_something_cannot_be_given_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = Flaky(MemoryTransport())
    bus = Bus(transport, retry=quick(1))
    failing = Failing(bus)
    transport.fail("move", error=REFUSED)
    transport.fail("release", times=4)
    caplog.set_level(logging.WARNING, "busway")
    async with up(bus):
        await bus.publish("a.b", 0)
        await bus.drain()
    assert failing.seen.items == [0, 0]
    assert caplog.text.count("could not be given back now, trying on") == 1


async def test_what_cannot_be_given_back_is_prolonged_and_not_handled_by_another() -> None:
    """Else it would come to another member when its lease ends, beside what is younger here."""
    clock = LeapingClock()
    transport = Flaky(MemoryTransport(lease=LEASE))
    bus = Bus(transport, retry=quick(1), clock=clock)
    failing = Failing(bus)
    transport.fail("move", error=REFUSED)
    transport.fail("release", times=math.inf)
    async with up(bus):
        await bus.publish("a.b", 0, key="k")
        await bus.publish("a.b", 1, key="k")
        await until(lambda: transport.calls["release"] > 0)
        await thirds(clock, transport, 12)
        assert failing.seen.items == [0]
        transport.heal()
        await bus.drain()
    assert failing.seen.items == [0, 0, 1]


async def test_what_was_lost_meanwhile_holds_nothing_up() -> None:
    transport = Flaky(MemoryTransport(lease=0.3))
    bus = Bus(transport, retry=quick(1))
    failing = Failing(bus)
    transport.fail("move", error=REFUSED)
    transport.fail("release", times=math.inf)
    transport.fail("extend", times=math.inf)
    async with up(bus):
        await bus.publish("a.b", 0, key="k")
        await bus.publish("a.b", 1, key="k")
        await until(lambda: sorted(failing.seen.items) == [0, 0, 1])
        transport.heal()


async def test_at_a_stop_it_is_tried_until_the_broker_has_heard_of_it() -> None:
    transport = Flaky(PartitionedLog())
    transport.fail("release", times=3)
    await stopped_in_mid_handler(Bus(transport, service="s"))
    assert transport.calls["release"] == 4
