"""Events published with a delay are handled when they are due, and not before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from busway import Bus
from busway.errors import OptionError
from busway.testing import PartitionedLog
from tests.facts import LeapingClock, Seen, noting, turns, until, up

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["held by the broker", "held in this process"])
def transport(request: pytest.FixtureRequest) -> Any:
    return "memory://" if request.param == "held by the broker" else PartitionedLog()


@pytest.mark.parametrize("kind", ["seconds", "timedelta", "moment"])
async def test_it_is_handled_when_it_is_due_and_not_before(transport: Any, kind: str) -> None:
    clock, seen = LeapingClock(), Seen()
    bus = Bus(transport, service="s", clock=clock)
    bus.add(noting(seen), "a.b")
    delay: Any = {
        "seconds": 60.0,
        "timedelta": timedelta(minutes=1),
        "moment": datetime.fromtimestamp(clock.time() + 60, UTC),
    }[kind]
    async with up(bus):
        await bus.publish("a.b", "late", delay=delay)
        await bus.publish("a.b", "now")
        await seen.count(1)
        clock.leap(59)
        await turns()
        assert seen.items == ["now"]
        clock.leap(1)
        assert await seen.count(2) == ["now", "late"]


async def test_a_delayed_event_does_not_hold_its_key(transport: Any) -> None:
    clock, seen = LeapingClock(), Seen()
    bus = Bus(transport, service="s", clock=clock)
    bus.add(noting(seen), "a.b", concurrency=2)
    async with up(bus):
        await bus.publish("a.b", "late", key="k", delay=60)
        await bus.publish("a.b", "now", key="k")
        await seen.count(1)
        clock.leap(60)
        assert await seen.count(2) == ["now", "late"]


async def test_a_delay_is_its_first_attempt_and_no_retry() -> None:
    clock, seen = LeapingClock(), Seen()
    bus = Bus(clock=clock)

    @bus.subscribe("a.b")
    async def handle(data: Any, message: Any) -> None:
        seen.add(message.attempt)

    async with up(bus):
        await bus.publish("a.b", 1, delay=60)
        clock.leap(60)
        await seen.count(1)
    assert seen.items == [1]
    assert bus.stats().retried == 0


async def test_what_is_early_here_is_given_back_at_the_stop() -> None:
    transport, clock, seen = PartitionedLog(), LeapingClock(), Seen()
    bus = Bus(transport, service="s", clock=clock)
    bus.add(noting(seen), "a.b", group="g")
    async with up(transport):
        async with bus:
            await bus.publish("a.b", 1, delay=60)
            await until(lambda: bus.stats().groups[0].waiting == 1)
        clock.leap(60)
        again = Bus(transport, service="s", clock=clock)
        again.add(noting(seen), "a.b", group="g")
        async with again:
            assert await seen.count(1) == [1]


async def test_a_moment_without_a_time_zone_is_refused() -> None:
    async with Bus() as bus:
        with pytest.raises(OptionError, match="time zone"):
            await bus.publish("a.b", 1, delay=datetime(2030, 1, 1))
