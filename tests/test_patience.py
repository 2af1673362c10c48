"""How long the core waits for what may never come, to the second, on loops whose time leaps."""

from __future__ import annotations

import math
from typing import Any

import anyio
import pytest

from busway import Actor, Bus, Supervise, on
from busway.memory import MemoryTransport
from busway.testing import Flaky, PartitionedLog
from busway.transport import Purpose
from tests.facts import Seen, noting, quick
from tests.leaping_loops import BACKENDS, Backend, backend

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio

HOUR = 3600.0
"""Seconds after which a test has failed. They pass at once."""


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    return backend(request.param)


class LoopClock:
    """The bus's time is the loop's."""

    def time(self) -> float:
        return anyio.current_time()

    async def wait(self, event: anyio.Event, until: float | None, /) -> bool:
        with anyio.CancelScope(deadline=math.inf if until is None else until):
            await event.wait()
        return event.is_set()


async def said(caplog: pytest.LogCaptureFixture, text: str) -> float:
    """When the log said it, in seconds from now."""
    began = anyio.current_time()
    while text not in caplog.text:
        await anyio.sleep(0.05)
    return anyio.current_time() - began


async def test_an_ack_is_let_go_after_a_minute_and_its_worker_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = Flaky(MemoryTransport())
    bus, seen = Bus(transport), Seen()
    bus.add(noting(seen), "a.b", group="g")
    transport.fail("ack", times=math.inf)
    with anyio.fail_after(HOUR):
        async with bus:
            await bus.publish("a.b", 1)
            assert 60 <= await said(caplog, "stay unacknowledged") < 66
            transport.heal()
            await bus.publish("a.b", 2)
            assert await seen.count(2) == [1, 2]
        # What was let go was not forgotten: it comes when its loan has ended.
        again, later = Bus(transport), Seen()
        again.add(noting(later), "a.b", group="g")
        async with again:
            assert await later.count(1) == [1]


async def test_a_dead_letter_is_let_go_after_a_minute_and_its_event_comes_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = Flaky(PartitionedLog())
    bus, tries = Bus(transport, service="s", retry=quick(1)), Seen()

    @bus.subscribe("a.b", group="g")
    async def refuse(data: Any) -> None:
        tries.add(data)
        raise ValueError("no")

    transport.fail("send", times=math.inf, when=lambda item: item.address.purpose is Purpose.DEAD)
    with anyio.fail_after(HOUR):
        async with bus:
            await bus.publish("a.b", 1)
            assert 60 <= await said(caplog, "stay unacknowledged") < 66
            assert await tries.count(2) == [1, 1]
            transport.heal()
            while bus.stats().dead == 0:
                await anyio.sleep(0.05)
            assert len(await bus.dead_letters("g").list()) == 1


async def test_on_dead_is_cut_off_after_ten_seconds_and_the_letter_stays(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Seen()

    async def on_dead(letter: Any) -> None:
        told.add(letter.envelope.data)
        await anyio.sleep_forever()

    bus = Bus(retry=quick(1), on_dead=on_dead)

    @bus.subscribe("a.b", group="g")
    async def refuse(data: Any) -> None:
        raise ValueError("no")

    with anyio.fail_after(HOUR):
        async with bus:
            await bus.publish("a.b", 1)
            await told.count(1)
            assert 10 <= await said(caplog, "on_dead took over 10 s") < 11
            assert len(await bus.dead_letters("g").list()) == 1
            await bus.publish("a.b", 2)
            assert await told.count(2) == [1, 2], "its worker goes on"


class Tired(Actor):
    """It comes to no end."""

    def __init__(self) -> None:
        self.starts = 0
        self.ends = anyio.Event()

    async def on_start(self) -> None:
        self.starts += 1

    @on("a.b")
    async def handle(self, data: int) -> None:
        if data == 1:
            raise ValueError("restart me")

    async def on_stop(self) -> None:
        self.ends.set()
        await anyio.sleep_forever()


async def test_on_stop_is_cut_off_after_ten_seconds_whatever_the_grace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for grace in (0.0, 30.0):
        bus, tired = Bus(), Tired()
        bus.add(tired)
        with anyio.fail_after(HOUR):
            await bus.start()
            began = anyio.current_time()
            await bus.stop(grace=grace)
            assert 10 <= anyio.current_time() - began < 11
        assert tired.ends.is_set()
    assert caplog.text.count("on_stop took over 10 s") == 2


async def test_on_stop_before_a_restart_is_cut_off_after_ten_seconds_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus, tired = Bus(retry=quick(1)), Tired()
    bus.add(tired, group="g", supervise=Supervise("restart"))
    with anyio.fail_after(HOUR):
        async with bus:
            await bus.publish("a.b", 1)
            await tired.ends.wait()
            assert 10 <= await said(caplog, "on_stop of actor Tired took over 10 s") < 11
            await bus.publish("a.b", 2)
            await bus.drain()
            assert tired.starts == 2


async def test_leaving_a_transport_is_cut_off_after_ten_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Slow(MemoryTransport):
        async def __aexit__(self, *exc: object) -> None:
            await anyio.sleep_forever()

    bus = Bus(Slow())
    with anyio.fail_after(HOUR):
        await bus.start()
        began = anyio.current_time()
        await bus.stop()
        assert 10 <= anyio.current_time() - began < 11
    assert "did not close within 10 s" in caplog.text


async def test_an_adapter_without_deadlines_keeps_no_settlement_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = Flaky(PartitionedLog())
    bus, seen = Bus(transport, service="s", retry=quick(2, in_place=0.0)), Seen()

    @bus.subscribe("a.b", group="g")
    async def refuse(data: Any) -> None:
        seen.add(data)
        raise ValueError("no")

    transport.hold("send", when=lambda item: item.address.purpose is Purpose.RETRY)
    with anyio.fail_after(HOUR):
        async with bus:
            await bus.publish("a.b", 1)
            await seen.count(1)
            assert 60 <= await said(caplog, "its adapter has no deadline") < 61
            await seen.count(3)


async def test_an_adapter_without_deadlines_keeps_nobody_from_leaving(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = Flaky(PartitionedLog())
    bus, seen, done = Bus(transport, service="s"), Seen(), anyio.Event()

    async def first(data: Any) -> None:
        seen.add(data)
        await done.wait()

    subscription = bus.add(first, "a.b", group="g", concurrency=2)
    transport.hold("release")
    with anyio.fail_after(HOUR):
        async with bus, anyio.create_task_group() as tasks:
            for n in range(3):
                await bus.publish("a.b", n, key="k")
            while sum(group.in_flight for group in bus.stats().groups) < 3:
                await anyio.sleep(0.05)
            tasks.start_soon(subscription.stop)
            assert 60 <= await said(caplog, "release was not answered within 60 s") < 61
            done.set()
    assert seen.items == [0]


async def test_a_heartbeat_that_is_not_answered_is_made_again_before_the_loan_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Else the loan would be lost with nobody knowing, and the event handled twice."""
    transport = Flaky(MemoryTransport(lease=30.0))
    bus, done = Bus(transport, clock=LoopClock()), anyio.Event()

    @bus.subscribe("a.b", group="g")
    async def long(data: Any) -> None:
        await done.wait()

    gate = transport.hold("extend")
    with anyio.fail_after(HOUR):
        async with bus:
            began = anyio.current_time()
            await bus.publish("a.b", 1)
            await gate.reached()
            assert 10 <= anyio.current_time() - began < 11
            assert 10 <= await said(caplog, "not answered within a third of the lease") < 11
            while transport.calls["extend"] < 2:
                await anyio.sleep(0.05)
            assert anyio.current_time() - began < 22
            await anyio.sleep(60)
            done.set()
            await bus.drain()
    assert (bus.stats().handled, bus.stats().lost) == (1, 0)
