"""Batches: filled or old enough, acknowledged together, judged one by one."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from busway import Batch, Bus, Message
from busway.errors import HandlerError, OptionError
from busway.memory import MemoryTransport
from busway.middleware import MemoryStore
from busway.testing import Flaky, PartitionedLog
from tests.facts import LEASE, LeapingClock, Seen, letters, quick, thirds, turns, until, up

pytestmark = pytest.mark.anyio


def taking(seen: Seen) -> Any:
    async def take(data: list[Any]) -> None:
        seen.add(data)

    return take


async def test_a_batch_is_handed_over_when_it_is_full() -> None:
    bus, seen = Bus(clock=LeapingClock()), Seen()
    bus.add(taking(seen), "a.b", batch=Batch(3, within=60))
    async with up(bus):
        for n in range(7):
            await bus.publish("a.b", n)
        await seen.count(2)
        await turns()
        assert seen.items == [[0, 1, 2], [3, 4, 5]]
        await bus.stop(grace=0)


@pytest.mark.parametrize("concurrency", [1, 2, 4])
async def test_a_batch_is_handed_over_when_its_first_event_is_old_enough(concurrency: int) -> None:
    clock = LeapingClock()
    bus, seen = Bus(clock=clock), Seen()
    bus.add(taking(seen), "a.b", batch=Batch(100, within=60), concurrency=concurrency)
    async with up(bus):
        for n in range(3):
            await bus.publish("a.b", n)
            await turns()
            clock.leap(29)
        # The first of them is 87 seconds old, whichever worker had it.
        await until(lambda: any(0 in each for each in seen.items))
        clock.leap(60)
        await until(lambda: sorted(n for each in seen.items for n in each) == [0, 1, 2])


async def test_batches_that_fill_up_leave_no_alarms_behind() -> None:
    clock = LeapingClock()
    bus, seen = Bus(clock=clock), Seen()
    bus.add(taking(seen), "a.b", batch=Batch(2, within=3600))
    async with up(bus):
        for n in range(20):
            await bus.publish("a.b", n)
            if n % 2:
                await seen.count(n // 2 + 1)
        (runner,) = bus._parts.groups.runners.values()
        assert runner.consumer is not None
        assert len(runner.consumer.keeper._timers) <= 1
        await bus.publish("a.b", "last")
        await turns()
        clock.leap(3600)
        await until(lambda: seen.items[-1] == ["last"])


async def test_a_batch_is_acknowledged_together() -> None:
    transport = Flaky(MemoryTransport())
    bus, seen = Bus(transport), Seen()
    bus.add(taking(seen), "a.b", batch=Batch(5, within=60))
    async with up(bus):
        for n in range(5):
            await bus.publish("a.b", n)
        await seen.count(1)
        await bus.drain()
    assert transport.calls["ack"] == 1
    assert bus.stats().handled == 5


async def test_when_the_handler_raises_each_event_has_failed_and_comes_in_a_later_batch() -> None:
    bus, seen = Bus(retry=quick(2, in_place=0.0)), Seen()

    @bus.subscribe("a.b", group="g", batch=Batch(3, within=0.05))
    async def handle(data: list[Any], messages: list[Message[Any]]) -> None:
        seen.add([(each.data, each.attempt) for each in messages])
        if messages[0].attempt == 1:
            raise ValueError("no")

    async with up(bus):
        for n in range(3):
            await bus.publish("a.b", n)
        await until(lambda: sum(len(each) for each in seen.items) == 6)
    assert seen.items == [[(0, 1), (1, 1), (2, 1)], [(0, 2), (1, 2), (2, 2)]]


async def test_each_event_of_a_failed_batch_becomes_a_dead_letter_of_its_own() -> None:
    bus = Bus(retry=quick(2))

    @bus.subscribe("a.b", group="g", batch=Batch(3, within=0.02))
    async def handle(data: list[Any]) -> None:
        raise ValueError("no")

    async with up(bus):
        for n in range(3):
            await bus.publish("a.b", n)
        found = await letters(bus, "g", 3)
    assert sorted(each.envelope.data for each in found) == [0, 1, 2]
    assert {each.attempts for each in found} == {2}


async def test_one_event_that_does_not_fit_is_set_aside_and_its_neighbours_are_handled() -> None:
    bus, seen = Bus(), Seen()

    @bus.subscribe("a.b", group="g", batch=Batch(3, within=60))
    async def handle(data: list[int]) -> None:
        seen.add(data)

    async with up(bus):
        for data in (1, "no number", 3):
            await bus.publish("a.b", data)
        (letter,) = await letters(bus, "g", 1)
        await seen.count(1)
        await bus.drain()
    assert seen.items == [[1, 3]]
    assert letter.envelope.data == "no number"


async def test_with_concurrency_a_batch_holds_one_event_of_a_key() -> None:
    bus, seen = Bus(), Seen()

    @bus.subscribe("a.b", batch=Batch(10, within=0.01), concurrency=2)
    async def handle(data: list[Any], messages: list[Message[Any]]) -> None:
        seen.add([(each.key, each.data) for each in messages])

    async with up(bus):
        for n in range(12):
            await bus.publish("a.b", n, key=str(n % 3))
        await until(lambda: sum(len(each) for each in seen.items) == 12)
    for batch in seen.items:
        assert len({key for key, _ in batch}) == len(batch)
    for key in "012":
        mine = [n for batch in seen.items for k, n in batch if k == key]
        assert mine == sorted(mine)


async def test_a_batch_that_is_not_full_is_given_back_at_the_stop_in_order() -> None:
    transport = PartitionedLog(partitions=1)
    bus, seen = Bus(transport, service="s"), Seen()
    bus.add(taking(seen), "a.b", group="g", batch=Batch(10, within=3600))
    async with up(transport):
        async with bus:
            for n in range(3):
                await bus.publish("a.b", n, key="k")
            await until(lambda: bus.stats().groups[0].in_flight == 3)
        assert seen.items == []
        again = Bus(transport, service="s")
        again.add(taking(seen), "a.b", group="g", batch=Batch(3, within=3600))
        async with again:
            await seen.count(1)
    assert seen.items == [[0, 1, 2]]


async def test_a_batch_that_is_cancelled_has_neither_failed_nor_succeeded() -> None:
    transport = MemoryTransport()
    bus, entered = Bus(transport, retry=quick(1)), anyio.Event()

    @bus.subscribe("a.b", group="g", batch=Batch(2, within=60))
    async def hang(data: list[Any]) -> None:
        entered.set()
        await anyio.sleep_forever()

    async with up(bus):
        await bus.publish("a.b", 1)
        await bus.publish("a.b", 2)
        await entered.wait()
        await bus.stop(grace=0)
    (state,) = await transport.groups()
    assert (state.lag, state.pending, state.dead) == (2, 0, 0)
    assert bus.stats().failed == 0


async def test_heartbeats_keep_what_is_collected_and_what_is_handled() -> None:
    clock = LeapingClock()
    transport = Flaky(MemoryTransport(lease=LEASE))
    bus, seen, leave = Bus(transport, clock=clock), Seen(), anyio.Event()

    @bus.subscribe("a.b", group="g", batch=Batch(2, within=3600))
    async def handle(data: list[Any], messages: list[Message[Any]]) -> None:
        seen.add(data)
        await leave.wait()
        assert not any(each.lost for each in messages)

    async with up(bus):
        await bus.publish("a.b", 1)
        await thirds(clock, transport, 5)
        await bus.publish("a.b", 2)
        await seen.count(1)
        await thirds(clock, transport, 5)
        leave.set()
        await bus.drain()
    assert seen.items == [[1, 2]]
    assert bus.stats().lost == 0


async def test_a_timeout_fails_the_whole_batch() -> None:
    bus = Bus(retry=quick(1))

    @bus.subscribe("a.b", group="g", batch=Batch(2, within=60), timeout=0.01)
    async def hang(data: list[Any]) -> None:
        await anyio.sleep_forever()

    async with up(bus):
        await bus.publish("a.b", 1)
        await bus.publish("a.b", 2)
        found = await letters(bus, "g", 2)
    assert {each.kind for each in found} == {"TimeoutError"}


def test_what_cannot_take_batches_is_refused() -> None:
    async def one(data: int) -> None: ...

    async def many(data: list[int]) -> None: ...

    with pytest.raises(HandlerError, match="list of events"):
        Bus().add(one, "a.b", batch=Batch(2))
    with pytest.raises(HandlerError, match="needs batch="):
        Bus().add(many, "a.b")
    with pytest.raises(HandlerError, match="dedupe"):
        Bus().add(many, "a.b", batch=Batch(2), dedupe=MemoryStore())
    for bad in ((0, 1.0), (1, 0.0)):
        with pytest.raises(OptionError):
            Batch(*bad)
