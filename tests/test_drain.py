"""``drain`` returns when everything that was caused is done, and not before."""

from __future__ import annotations

import math
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from busway import Backoff, Batch, Bus, Message, Retry
from busway.errors import DrainTimeout, StateError, TransportError, UsageError
from busway.memory import MemoryTransport
from busway.testing import Flaky, PartitionedLog
from busway.transport import GroupState
from tests.facts import LeapingClock, Seen, noting, quick, turns, until, up

pytestmark = pytest.mark.anyio


async def test_it_waits_for_what_handlers_publish_in_their_turn() -> None:
    bus, seen = Bus(), Seen()

    @bus.subscribe("a.b")
    async def chain(data: int) -> None:
        await anyio.lowlevel.checkpoint()
        seen.add(data)
        if data < 20:
            await bus.publish("a.b", data + 1)

    async with up(bus):
        await bus.publish("a.b", 0)
        await bus.drain()
        assert seen.items == list(range(21))


@pytest.mark.parametrize("in_place", [0.0, 1.0])
async def test_it_waits_for_retries(in_place: float) -> None:
    bus, seen = Bus(retry=quick(4, in_place=in_place)), Seen()

    @bus.subscribe("a.b")
    async def handle(data: Any, message: Message[Any]) -> None:
        seen.add(message.attempt)
        if message.attempt < 4:
            raise ValueError("no")

    async with up(bus):
        await bus.publish("a.b", 1)
        await bus.drain()
        assert seen.items == [1, 2, 3, 4]


async def test_it_waits_for_what_was_emitted() -> None:
    bus, seen = Bus(), Seen()
    bus.add(noting(seen), "a.b")
    async with up(bus):
        bus.emit("a.b", 1)
        await bus.drain()
        assert seen.items == [1]


async def test_it_does_not_wait_for_what_was_published_with_a_delay() -> None:
    clock, seen = LeapingClock(), Seen()
    bus = Bus(clock=clock)
    bus.add(noting(seen), "a.b")
    async with up(bus):
        await bus.publish("a.b", 1, delay=60)
        await bus.drain()
        assert seen.items == []


async def test_it_does_not_wait_for_a_delay_that_is_kept_in_this_process() -> None:
    clock, seen = LeapingClock(), Seen()
    bus = Bus(PartitionedLog(), service="s", clock=clock)
    bus.add(noting(seen), "a.b")
    async with up(bus):
        await bus.publish("a.b", 1, delay=60)
        await until(lambda: bus.stats().groups[0].waiting == 1)
        with anyio.move_on_after(5.0) as scope:
            for runner in bus._parts.groups.runners.values():
                assert runner.consumer is not None
                await runner.consumer.finished_before(float("inf"))
        assert not scope.cancelled_caught
        assert seen.items == []


async def test_it_raises_when_time_is_over() -> None:
    clock = LeapingClock()
    bus = Bus(clock=clock, retry=Retry(2, Backoff(60.0)))

    @bus.subscribe("a.b")
    async def handle(data: Any) -> None:
        raise ValueError("no")

    async with up(bus):
        await bus.publish("a.b", 1)
        with pytest.raises(TimeoutError):
            await bus.drain(timeout=0.05)
        await bus.stop(grace=0)


async def test_it_says_what_it_waited_for() -> None:
    bus, leave = Bus(), anyio.Event()

    @bus.subscribe("a.b", group="g")
    async def hang(data: Any) -> None:
        await leave.wait()

    async with up(bus):
        await bus.publish("a.b", 1)
        with pytest.raises(DrainTimeout, match="group 'g' holds 1 here") as caught:
            await bus.drain(timeout=0.05)
        assert "within 0.05 s" in str(caught.value)
        leave.set()
        await bus.drain()


async def test_it_says_what_lies_in_the_broker() -> None:
    bus = Bus(PartitionedLog(), service="s", retry=Retry(2, Backoff(60.0, jitter="none")))

    @bus.subscribe("a.b", group="g")
    async def handle(data: Any) -> None:
        raise ValueError("no")

    async with up(bus):
        await bus.publish("a.b", 1)
        await until(lambda: bus.stats().retried == 1)
        with pytest.raises(DrainTimeout, match="group 'g'"):
            await bus.drain(timeout=0.2)
        await bus.stop(grace=0)


@pytest.mark.parametrize("later", [True, False])
async def test_a_broker_that_cannot_be_asked_just_then_is_asked_again(
    later: bool, caplog: pytest.LogCaptureFixture
) -> None:
    transport = Flaky(MemoryTransport())
    bus, seen = Bus(transport), Seen()
    bus.add(noting(seen), "a.b")
    transport.fail("groups", times=4)
    async with up(bus):
        await bus.publish("a.b", 1)
        await bus.drain(later=later)
    assert seen.items == [1]
    assert transport.calls["groups"] > 4
    assert caplog.text.count("cannot be asked what is left, trying on") == 1


async def test_a_broker_that_cannot_be_asked_in_time_is_what_was_waited_for() -> None:
    transport = Flaky(MemoryTransport())
    bus = Bus(transport)
    away = TransportError("the broker fails over")
    transport.fail("groups", times=math.inf, error=away)
    async with up(bus):
        with pytest.raises(DrainTimeout, match=r"cannot be asked .* fails over") as caught:
            await bus.drain(timeout=0.3)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.__cause__ is away
        assert 2 < transport.calls["groups"] < 30, "with backoff"
        transport.heal()


async def test_a_broker_that_will_never_answer_is_told_at_once() -> None:
    transport = Flaky(MemoryTransport())
    bus = Bus(transport)
    refused = TransportError("WRONGPASS", retryable=False)
    transport.fail("groups", error=refused)
    async with up(bus):
        with pytest.raises(TransportError) as caught:
            await bus.drain()
        assert caught.value is refused
        assert transport.calls["groups"] == 1


async def test_it_does_not_wait_for_a_paused_group() -> None:
    bus, seen, other = Bus(), Seen(), Seen()
    subscription = bus.add(noting(seen), "a.b", group="paused")
    bus.add(noting(other), "a.b", group="other")
    subscription.pause()
    async with up(bus):
        await bus.publish("a.b", 1)
        await bus.drain()
        assert (seen.items, other.items) == ([], [1])


async def test_a_pause_while_it_waits_lets_it_go() -> None:
    clock = LeapingClock()
    bus, drained = Bus(clock=clock, retry=Retry(2, Backoff(1.0, jitter="none"))), anyio.Event()

    async def handle(data: Any) -> None:
        raise ValueError("no")

    subscription = bus.add(handle, "a.b", group="g")
    async with up(bus), anyio.create_task_group() as tasks:
        await bus.publish("a.b", 1)
        await until(lambda: bus.stats().retried == 1)

        async def drain() -> None:
            await bus.drain()
            drained.set()

        tasks.start_soon(drain)
        await turns()
        assert not drained.is_set()
        subscription.pause()
        await drained.wait()


@pytest.mark.parametrize("later", [True, False])
@pytest.mark.parametrize("batch", [None, Batch(1, within=0.01)])
async def test_a_handler_that_would_wait_for_itself_is_told_what_to_do(
    batch: Batch | None, later: bool
) -> None:
    bus, told = Bus(), Seen()

    async def drain(data: Any) -> None:
        with pytest.raises(UsageError, match=r"inside a handler .* has ended"):
            await bus.drain(later=later)
        told.add(data)

    async def drain_all(data: list[Any]) -> None:
        await drain(data)

    bus.add(drain_all if batch else drain, "a.b", batch=batch)
    async with up(bus):
        await bus.publish("a.b", 1)
        await told.count(1)


async def test_a_handler_may_drain_another_bus() -> None:
    first, second, seen = Bus(), Bus(), Seen()
    second.add(noting(seen), "a.b")

    @first.subscribe("a.b")
    async def handle(data: Any) -> None:
        await second.publish("a.b", data)
        await second.drain()
        assert seen.items == [1]

    async with up(second), first:
        await first.publish("a.b", 1)
        await first.drain()
    assert first.stats().failed == 0


async def test_a_bus_that_does_not_run_cannot_be_drained() -> None:
    with pytest.raises(StateError, match="not started"):
        await Bus().drain()


class Unsure(MemoryTransport):
    """It cannot tell how many wait, only since when; and says so for its first answers."""

    asked = 0

    async def groups(self) -> list[GroupState]:
        self.asked += 1
        oldest = 1.0 if self.asked < 4 else None
        states = await super().groups()
        return [msgspec.structs.replace(each, lag=None, oldest=oldest) for each in states]


async def test_it_waits_where_the_broker_cannot_tell_how_many_wait() -> None:
    transport = Unsure()
    bus = Bus(transport)
    bus.add(noting(Seen()), "a.b")
    async with up(bus):
        await bus.drain()
        assert transport.asked >= 4
