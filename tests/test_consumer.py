"""The workers of a group: what they fetch, what cancels them, and what a handler may do to them."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from busway import Bus, Message
from busway.errors import TransportError
from busway.memory import MemoryTransport
from busway.testing import Flaky, PartitionedLog
from tests.facts import (
    LEASE,
    PATIENCE,
    LeapingClock,
    Seen,
    letters,
    noting,
    quick,
    thirds,
    turns,
    until,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_no_more_is_held_than_there_is_room_for(concurrency: int) -> None:
    bus = Bus(max_in_flight=5)
    seen, most = Seen(), 0

    @bus.subscribe("a.b", concurrency=concurrency)
    async def handle(data: Any) -> None:
        nonlocal most
        (group,) = bus.stats().groups
        most = max(most, group.in_flight)
        await anyio.lowlevel.checkpoint()
        seen.add(data)

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish_many([bus.envelope("a.b", n) for n in range(100)])
            await seen.count(100)
    assert sorted(seen.items) == list(range(100))
    assert most <= 5


async def test_a_handler_that_is_cancelled_has_neither_failed_nor_succeeded() -> None:
    transport = Flaky(MemoryTransport())
    bus = Bus(transport, retry=quick(1))
    entered = anyio.Event()

    @bus.subscribe("a.b", group="g")
    async def hang(data: Any) -> None:
        entered.set()
        await anyio.sleep_forever()

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", 1)
            await entered.wait()
            await bus.stop(grace=0)
    stats = bus.stats()
    assert (stats.handled, stats.failed, stats.dead, stats.retried) == (0, 0, 0, 0)
    assert transport.calls["ack"] == 0
    (state,) = await bus.groups()
    assert (state.lag, state.pending) == (1, 0)


async def test_what_was_handled_is_acknowledged_although_the_stop_cut_the_ack_short() -> None:
    transport = Flaky(MemoryTransport())
    bus, seen = Bus(transport), Seen()
    bus.add(noting(seen), "a.b")
    gate = transport.hold("ack")
    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", 1)
            await gate.reached()
            await bus.stop(grace=0)
    (state,) = await bus.groups()
    assert (state.lag, state.pending) == (0, 0)
    assert bus.stats().handled == 1


async def test_a_cancellation_that_the_handler_raised_itself_is_a_failed_attempt(
    anyio_backend: str,
) -> None:
    if anyio_backend == "trio":
        pytest.skip("in trio nobody can make one")
    bus, seen = Bus(retry=quick(2)), Seen()

    @bus.subscribe("a.b", group="g")
    async def handle(data: Any) -> None:
        seen.add(data)
        if data == 1:
            raise asyncio.CancelledError

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", 1)
            (letter,) = await letters(bus, "g", 1)
            await bus.publish("a.b", 2)
            await bus.drain()
    assert seen.items == [1, 1, 2]
    assert letter.kind == "CancelledError"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
async def test_a_base_exception_is_reported_and_is_a_failed_attempt(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    bus, seen = Bus(retry=quick(2)), Seen()

    @bus.subscribe("a.b", group="g")
    async def handle(data: Any) -> None:
        seen.add(data)
        if data == 1:
            raise error

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", 1)
            await letters(bus, "g", 1)
            await bus.publish("a.b", 2)
            await bus.drain()
    assert seen.items == [1, 1, 2]
    assert f"raised {type(error).__name__}, which is meant to end a process" in caplog.text


async def test_a_broker_that_cannot_be_received_from_is_asked_until_it_can(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "busway")
    transport = Flaky(MemoryTransport())
    bus, seen = Bus(transport), Seen()
    bus.add(noting(seen), "a.b")
    transport.fail("receive", times=4)
    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", 1)
            await seen.count(1)
            await bus.drain()
    assert caplog.text.count("cannot receive and tries on") == 1
    assert "receiving again" in caplog.text


async def test_a_group_without_its_broker_stops_at_once() -> None:
    transport = Flaky(PartitionedLog())
    bus = Bus(transport, service="s")
    bus.add(noting(Seen()), "a.b")
    transport.fail("receive", times=math.inf)
    with anyio.fail_after(PATIENCE):
        async with bus:
            await until(lambda: transport.calls["receive"] > 2)


async def test_an_adapters_own_exception_ends_the_bus_and_run_raises_it_with_its_name() -> None:
    transport = Flaky(MemoryTransport())
    bus = Bus(transport)
    bus.add(noting(Seen()), "a.b", group="one")
    bus.add(noting(Seen()), "a.b", group="two")
    transport.fail("receive", error=ZeroDivisionError("a bug"))
    said = r"Flaky: receive raised ZeroDivisionError: a bug\. An adapter may raise"
    with anyio.fail_after(PATIENCE), pytest.raises(TransportError, match=said):
        async with bus:
            await until(lambda: not bus.running)
    async with bus:  # and that was all
        await bus.drain()


async def test_a_worker_that_is_interrupted_loses_nothing() -> None:
    """Each resume makes whoever fetches look again, with an event on its way or not."""
    bus, seen = Bus(), Seen()
    subscription = bus.add(noting(seen), "a.b", concurrency=3)
    with anyio.fail_after(PATIENCE):
        async with bus:
            for n in range(300):
                await bus.publish("a.b", n)
                subscription.resume()
                if n % 7 == 0:
                    await anyio.lowlevel.checkpoint()
            await seen.count(300)
            await bus.drain()
    assert sorted(seen.items) == list(range(300))


async def test_a_handler_can_publish_into_its_own_full_group_and_the_overshoot_is_counted() -> None:
    transport = MemoryTransport(mailbox=1)
    bus, seen = Bus(transport), Seen()

    @bus.subscribe("a.*", group="g")
    async def handle(data: int) -> None:
        if data < 10:
            await bus.publish("a.b", data + 1)
            await bus.publish("a.c", 100)
        seen.add(data)

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", 0)
            await bus.drain()
    assert len(seen.items) == 21
    assert transport._boxes.by_group["g"].overshoot > 0


async def test_a_handler_that_publishes_to_itself_for_ever_leaves_time_for_others() -> None:
    bus = Bus()
    rounds = Seen()

    @bus.subscribe("a.b")
    async def handle(data: int) -> None:
        rounds.add(data)
        await bus.publish("a.b", data + 1)

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", 0)
            await rounds.count(100)
            await bus.stop(grace=0)
    assert rounds.items == list(range(len(rounds.items)))


async def test_a_publisher_waits_for_a_full_mailbox_and_goes_on_when_there_is_room() -> None:
    bus = Bus("memory://?mailbox=2", max_in_flight=1)
    gate, seen, published = anyio.Event(), Seen(), Seen()

    @bus.subscribe("a.b")
    async def handle(data: Any) -> None:
        seen.add(data)
        await gate.wait()

    async def publish() -> None:
        for n in range(10):
            await bus.publish("a.b", n)
            published.add(n)

    with anyio.fail_after(PATIENCE):
        async with bus, anyio.create_task_group() as tasks:
            tasks.start_soon(publish)
            await seen.count(1)
            await published.count(3)
            await turns()
            assert len(published.items) == 3  # one runs, two wait
            gate.set()
            await published.count(10)
            await seen.count(10)


async def test_a_slow_group_stalls_no_other() -> None:
    bus, fast, gate = Bus(), Seen(), anyio.Event()

    @bus.subscribe("a.b", group="slow")
    async def slow(data: Any) -> None:
        await gate.wait()

    bus.add(noting(fast), "a.b", group="fast")
    with anyio.fail_after(PATIENCE):
        async with bus:
            for n in range(500):
                await bus.publish("a.b", n)
            await fast.count(500)
            gate.set()


async def test_a_plain_function_runs_in_a_thread_and_can_publish_from_there() -> None:
    bus, seen = Bus(), Seen()
    home = threading.get_ident()
    threads: list[int] = []

    @bus.subscribe("a.b")
    def plain(data: int) -> None:
        threads.append(threading.get_ident())
        bus.from_thread.publish("a.c", data + 1)

    bus.add(noting(seen), "a.c")
    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", 1)
            await seen.count(1)
    assert seen.items == [2]
    assert threads != [home]


async def test_after_a_time_out_the_lane_stays_closed_until_the_thread_ends() -> None:
    bus, seen, leave = Bus(retry=quick(1)), Seen(), threading.Event()
    entered = anyio.Event()

    @bus.subscribe("a.b", group="g", timeout=0.01, concurrency=2)
    def plain(data: int) -> None:
        anyio.from_thread.run_sync(entered.set)
        leave.wait(PATIENCE)
        anyio.from_thread.run_sync(seen.add, data)

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", 1, key="k")
            await bus.publish("a.b", 2, key="k")
            await entered.wait()
            await anyio.sleep(0.03)  # the time-out itself: its passing is the fact
            assert seen.items == []
            leave.set()
            await seen.count(2)
    assert seen.items == [1, 2]


async def test_a_time_out_is_a_failed_attempt() -> None:
    bus = Bus(retry=quick(1))

    @bus.subscribe("a.b", group="g", timeout=0.01)
    async def hang(data: Any) -> None:
        await anyio.sleep_forever()

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", 1)
            (letter,) = await letters(bus, "g", 1)
    assert letter.kind == "TimeoutError"


async def test_a_heartbeat_keeps_the_loan_of_a_long_handler() -> None:
    clock = LeapingClock()
    transport = Flaky(MemoryTransport(lease=LEASE))
    one = Bus(transport, service="s", clock=clock)
    two = Bus(transport, service="s", clock=clock)
    seen, leave = Seen(), anyio.Event()

    async def handle(data: Any, message: Message[Any]) -> None:
        seen.add(message.attempt)
        await leave.wait()
        assert not message.lost

    one.add(handle, "a.b", group="g")
    two.add(handle, "a.b", group="g")
    with anyio.fail_after(PATIENCE):
        async with one, two:
            await one.publish("a.b", 1)
            await seen.count(1)
            await thirds(clock, transport, 6)
            leave.set()
            await one.drain()
            await two.drain()
    assert seen.items == [1]


async def test_it_is_said_once_that_loans_are_not_prolonged_and_when_they_are_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = LeapingClock()
    transport = Flaky(MemoryTransport(lease=LEASE))
    bus, seen, leave = Bus(transport, clock=clock), Seen(), anyio.Event()

    async def handle(data: Any) -> None:
        seen.add(data)
        await leave.wait()

    bus.add(handle, "a.b", group="g")
    transport.fail("extend", times=3)
    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", 1)
            await seen.count(1)
            await thirds(clock, transport, 1)
            for calls in (2, 3, 4):
                clock.leap(LEASE / 12)
                await until(lambda: transport.calls["extend"] >= calls)  # noqa: B023
            await until(lambda: "prolonged again" in caplog.text)
            leave.set()
            await bus.drain()
    assert caplog.text.count("loans not prolonged") == 1
    assert caplog.text.count("loans prolonged again") == 1


async def test_a_loan_whose_heartbeat_fails_is_taken_over_and_the_late_ack_is_harmless() -> None:
    transport = Flaky(MemoryTransport(lease=0.2))
    one, two = Bus(transport, service="s"), Bus(transport, service="s")
    seen, leave = Seen(), anyio.Event()

    async def slow(data: Any, message: Message[Any]) -> None:
        seen.add(("handled", message.attempt))
        if len(seen.items) == 1:
            await leave.wait()
            seen.add(("lost", message.lost))

    one.add(slow, "a.b", group="g")
    two.add(slow, "a.b", group="g")
    transport.fail("extend", times=math.inf)
    with anyio.fail_after(PATIENCE):
        async with one, two:
            await one.publish("a.b", 1)
            await seen.count(2)
            leave.set()
            await seen.count(3)
            await one.drain()
            await two.drain()
            (state,) = await one.groups()
            assert (state.lag, state.pending) == (0, 0)
    assert seen.items == [("handled", 1), ("handled", 1), ("lost", True)]


async def test_no_timer_ticks_while_nothing_is_held() -> None:
    clock = Counting()
    bus, seen = Bus(clock=clock), Seen()
    bus.add(noting(seen), "a.b")
    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", 1)
            await bus.drain()
            (keeper,) = [r.consumer.keeper for r in bus._parts.groups.runners.values()]
            await until(lambda: keeper.asleep and not keeper._nudge.is_set())
            asked = clock.waits
            await anyio.sleep(0.2)  # four ticks: that nothing happens has no other sign
            assert clock.waits == asked


class Counting(LeapingClock):
    waits = 0

    async def wait(self, event: anyio.Event, until: float | None, /) -> bool:
        self.waits += 1
        return await super().wait(event, until)


async def test_a_handler_that_blocks_the_loop_is_named(caplog: pytest.LogCaptureFixture) -> None:
    import time

    bus = Bus()

    @bus.subscribe("a.b", group="g")
    async def blocks(data: Any) -> None:
        await anyio.sleep(0.01)
        time.sleep(1.2)  # noqa: ASYNC251  that is what it is about

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", 1)
            await bus.drain()
            await until(lambda: "the event loop stood still" in caplog.text)


async def test_revoked_loans_are_released_and_what_runs_knows_it() -> None:
    """A member that joins takes partitions over; nothing is lost, and no event fails by it."""
    transport = PartitionedLog(partitions=4)
    seen: list[int] = []
    done = Seen()

    def member() -> Bus:
        bus = Bus(transport, service="s", retry=quick(1))

        @bus.subscribe("a.b", group="g", concurrency=4)
        async def handle(data: int) -> None:
            await anyio.sleep(0.002)
            seen.append(data)
            done.add(data)

        return bus

    one, two = member(), member()
    with anyio.fail_after(PATIENCE):
        async with transport, one:
            for n in range(100):
                await one.publish("a.b", n, key=str(n % 11))
            await done.count(10)
            async with two:
                await until(lambda: set(seen) == set(range(100)))
            assert await one.dead_letters("g").list() == []


async def test_a_transport_error_of_the_keeper_does_not_hold_up_retries() -> None:
    transport = Flaky(MemoryTransport())
    bus, seen = Bus(transport, retry=quick(3)), Seen()
    gate = transport.hold("ack")

    @bus.subscribe("a.*", group="g", concurrency=3)
    async def handle(data: Any, message: Message[Any]) -> None:
        seen.add((data, message.attempt))
        if data == "fails":
            raise ValueError("no")

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", "works")
            await gate.reached()
            await bus.publish("a.b", "fails")
            await letters(bus, "g", 1)
            gate.open()
    assert [attempt for data, attempt in seen.items if data == "fails"] == [1, 2, 3]
