"""Single events that go from hand to hand, and what changes while a worker waits for one."""

from __future__ import annotations

import anyio
import msgspec
import pytest

from busway import Bus, event
from busway.middleware import Hooks, Received
from tests.facts import PATIENCE, Seen, quick, turns, up

pytestmark = pytest.mark.anyio


@event("hand.given")
class Given(msgspec.Struct, frozen=True):
    n: int


class Receipts(Hooks):
    """Notes what was received."""

    def __init__(self) -> None:
        self.seen = Seen()

    def received(self, event: Received) -> None:
        self.seen.add(event)


def listening() -> tuple[Bus, Seen]:
    """A bus whose one worker waits for a single event, and what it handled."""
    bus, seen = Bus(service="shop"), Seen()

    @bus.subscribe(Given, group="g", retry=quick())
    async def note(given: Given) -> None:
        seen.add(given.n)

    return bus, seen


async def given(bus: Bus, seen: Seen) -> None:
    """One event has come and gone, and the worker waits for the next."""
    await bus.publish(Given(0))
    await seen.count(1)
    await turns()


async def test_who_begins_to_watch_while_a_worker_waits_delays_no_event() -> None:
    bus, seen = listening()
    receipts = Receipts()
    async with up(bus):
        await given(bus, seen)
        with bus.watch(receipts):
            await bus.publish(Given(1))
            assert await seen.count(2) == [0, 1]
            await receipts.seen.count(1)
        await bus.publish(Given(2))
        await seen.count(3)
    assert bus.stats().handled == 3


async def test_what_comes_to_a_paused_worker_is_handled_when_it_goes_on() -> None:
    bus, seen = listening()
    async with up(bus):
        await given(bus, seen)
        (runner,) = bus._parts.groups.runners.values()
        runner.pause()
        await bus.publish(Given(1))
        await turns()
        assert seen.items == [0]
        runner.resume()
        assert await seen.count(2) == [0, 1]
        await bus.drain()
    assert bus.stats().handled == 2


async def test_what_came_just_before_a_stop_is_handled() -> None:
    bus, seen = listening()
    async with up(bus):
        await given(bus, seen)
        await bus.publish(Given(1))
        await bus.stop()
    assert seen.items == [0, 1]
    (state,) = await bus.groups()
    assert (state.lag, state.pending) == (0, 0)


async def test_a_handler_that_raises_a_base_exception_is_tried_again() -> None:
    bus, seen = Bus(service="shop"), Seen()

    class Ended(BaseException):
        pass

    @bus.subscribe(Given, group="g", retry=quick())
    async def fail_once(given: Given) -> None:
        seen.add(given.n)
        if len(seen.items) == 1:
            raise Ended

    with anyio.fail_after(PATIENCE):
        async with bus:
            await turns()
            await bus.publish(Given(1))
            assert await seen.count(2) == [1, 1]
            await bus.drain()
            (state,) = await bus.groups()
            assert (state.lag, state.pending) == (0, 0)
    stats = bus.stats()
    assert (stats.handled, stats.failed) == (1, 1)
