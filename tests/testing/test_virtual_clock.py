"""Time that goes when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio
import pytest

from busway import Bus, OptionError
from busway.memory import MemoryTransport
from busway.testing import VirtualClock
from busway.transport import Clock, SystemClock

__all__ = ["pytestmark"]

pytestmark = pytest.mark.anyio


def test_it_begins_where_it_is_told_and_stands_still() -> None:
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    clock: Clock = VirtualClock(start)
    assert clock.time() == start.timestamp()
    assert VirtualClock(5.0).time() == 5.0
    assert VirtualClock().now == VirtualClock().now == datetime(2000, 1, 1, tzinfo=UTC)


def test_a_beginning_without_a_time_zone_is_refused() -> None:
    with pytest.raises(OptionError, match="time zone"):
        VirtualClock(datetime(2026, 3, 1))


async def test_a_wait_ends_when_the_event_is_set() -> None:
    clock, event = VirtualClock(), anyio.Event()
    event.set()
    assert await clock.wait(event, clock.time() + 3600) is True
    assert await clock.wait(event, None) is True


async def test_a_moment_that_has_passed_is_not_waited_for() -> None:
    clock = VirtualClock()
    assert await clock.wait(anyio.Event(), clock.time()) is False


async def test_those_who_wait_are_woken_in_the_order_of_their_moments() -> None:
    clock = VirtualClock(0.0)
    woken: list[tuple[float, float]] = []

    async def wait(until: float) -> None:
        assert await clock.wait(anyio.Event(), until) is False
        woken.append((until, clock.time()))

    async with anyio.create_task_group() as tasks:
        for until in (300.0, 100.0, 200.0, 301.0):
            tasks.start_soon(wait, until)
        await clock.advance(300)
        assert woken == [(100.0, 100.0), (200.0, 200.0), (300.0, 300.0)]
        assert clock.next_due == 301.0
        await clock.advance(1)
    assert clock.next_due is None


async def test_who_waits_again_within_the_time_that_passes_is_woken_again() -> None:
    clock = VirtualClock(0.0)
    ticks: list[float] = []

    async def tick() -> None:
        while clock.time() < 50:
            await clock.wait(anyio.Event(), clock.time() + 10)
            ticks.append(clock.time())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        await clock.advance(35)
        assert ticks == [10, 20, 30]
        assert clock.time() == 35
        tasks.cancel_scope.cancel()


async def test_a_jump_goes_to_the_next_moment_that_somebody_waits_for() -> None:
    clock = VirtualClock(0.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clock.wait, anyio.Event(), 100.0)
        assert await clock.jump() is True
        assert clock.time() == 100.0
    assert await clock.jump() is False


async def test_who_was_cancelled_waits_no_more() -> None:
    clock = VirtualClock(0.0)
    with anyio.move_on_after(0.01):
        await clock.wait(anyio.Event(), 100.0)
    assert clock.next_due is None


async def test_time_does_not_go_backward() -> None:
    with pytest.raises(OptionError, match="forward"):
        await VirtualClock().advance(-1)


async def test_what_the_bus_writes_down_is_of_its_time() -> None:
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    async with Bus(clock=VirtualClock(start)) as bus:
        assert (await bus.publish("order.placed", {})).time == start


@pytest.mark.parametrize("clock", [VirtualClock(), SystemClock()], ids=["virtual", "system"])
def test_a_clock_given_to_the_bus_is_its_transports_too(clock: Clock) -> None:
    transport = MemoryTransport()
    Bus(transport, clock=clock)
    assert isinstance(clock, SystemClock) or transport.clock is clock


def test_a_clock_given_to_a_transport_alone_stays() -> None:
    clock = VirtualClock()
    transport = MemoryTransport(clock=clock)
    Bus(transport)
    assert transport.clock is clock
