"""Start, stop, run: whoever calls them, whenever, and whatever hangs or breaks meanwhile."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import textwrap
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from msgspec import Struct

from busway import Actor, Bus, Supervise, event, on
from busway.errors import StateError, TransportError
from busway.memory import MemoryTransport
from busway.testing import Flaky, PartitionedLog
from tests.facts import PATIENCE, Seen, noting, quick, turns, until

pytestmark = pytest.mark.anyio


async def test_start_returns_when_every_group_receives() -> None:
    transport = Flaky(MemoryTransport())
    bus, started = Bus(transport), anyio.Event()
    for name in ("one", "two", "three"):
        bus.add(noting(Seen()), "a.b", group=name)
    gate = transport.hold("listen", after=2)

    async def start() -> None:
        await bus.start()
        started.set()

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start)
            await gate.reached()
            assert not started.is_set()
            assert not bus.running
            gate.open()
            await started.wait()
            assert all(group.open for group in bus.stats().groups)
        await bus.stop()


async def test_start_and_stop_may_be_called_from_different_tasks() -> None:
    bus, seen = Bus(), Seen()
    bus.add(noting(seen), "a.b")
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.start)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.publish, "a.b", 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.stop)
    assert seen.items == [1]
    assert not bus.running


async def test_the_task_that_started_may_end_before_the_bus() -> None:
    bus, seen = Bus(), Seen()
    bus.add(noting(seen), "a.b")
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.start)
            await until(lambda: bus.running)
            tasks.cancel_scope.cancel()
        await bus.publish("a.b", 1)
        await seen.count(1)
        await bus.stop()


async def test_a_bus_is_started_once() -> None:
    async with Bus() as bus:
        with pytest.raises(StateError, match="running"):
            await bus.start()


async def test_stop_is_idempotent_before_and_after() -> None:
    bus = Bus()
    await bus.stop()
    await bus.start()
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(bus.stop)
        await bus.stop()
    assert not bus.running


async def test_a_bus_can_be_started_again() -> None:
    bus, seen = Bus(), Seen()
    bus.add(noting(seen), "a.b")
    with anyio.fail_after(PATIENCE):
        for n in range(3):
            async with bus:
                await bus.publish("a.b", n)
            assert seen.items == list(range(n + 1))


async def test_publishing_before_the_start_and_after_the_stop_says_so() -> None:
    @event("lifecycle.declared")
    class Declared(Struct):
        x: int = 1

    bus = Bus()
    with pytest.raises(StateError, match="not started"):
        await bus.publish(Declared())
    async with bus:
        await bus.publish(Declared())
    with pytest.raises(StateError, match="stopped"):
        await bus.publish(Declared())


async def test_stop_from_inside_a_handler_lets_it_finish() -> None:
    bus, seen = Bus(), Seen()

    @bus.subscribe("a.b")
    async def handle(data: Any) -> None:
        await bus.stop()
        seen.add(data)

    with anyio.fail_after(PATIENCE):
        await bus.start()
        await bus.publish("a.b", 1)
        await until(lambda: bus.stats().state == "stopped")
    assert seen.items == [1]
    assert bus.stats().handled == 1


async def test_stop_of_another_bus_from_inside_a_handler_waits_for_its_end() -> None:
    one, two, seen = Bus(), Bus(), Seen()

    @one.subscribe("a.b")
    async def handle(data: Any) -> None:
        await two.stop()
        seen.add(two.stats().state)

    with anyio.fail_after(PATIENCE):
        async with one:
            await two.start()
            await one.publish("a.b", 1)
            await seen.count(1)
    assert seen.items == ["stopped"]


async def test_stop_while_publishers_and_handlers_are_blocked_ends_within_the_grace() -> None:
    bus, entered = Bus("memory://?mailbox=1", publish_timeout=0.2), anyio.Event()
    outcomes = Seen()

    @bus.subscribe("a.b")
    async def hang(data: Any) -> None:
        entered.set()
        await anyio.sleep_forever()

    async def publish(n: int) -> None:
        try:
            await bus.publish("a.b", n)
        except Exception as error:
            outcomes.add(type(error).__name__)
        else:
            outcomes.add("sent")

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            await bus.start()
            for n in range(6):
                tasks.start_soon(publish, n)
            await entered.wait()
            await bus.stop(grace=0.05)
            assert not bus.running
    assert len(outcomes.items) == 6
    assert set(outcomes.items) <= {"sent", "PublishError"}


async def test_a_second_stop_shortens_the_first() -> None:
    bus, entered = Bus(), anyio.Event()

    @bus.subscribe("a.b")
    async def hang(data: Any) -> None:
        entered.set()
        await anyio.sleep_forever()

    with anyio.fail_after(PATIENCE):
        await bus.start()
        await bus.publish("a.b", 1)
        await entered.wait()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: bus.stop(grace=3600))
            await turns()
            assert bus.stats().state == "stopping"
            await bus.stop(grace=0)


async def test_what_waits_in_memory_is_handled_before_the_stop() -> None:
    bus, seen = Bus(), Seen()

    @bus.subscribe("a.b")
    async def handle(data: Any) -> None:
        await anyio.lowlevel.checkpoint()
        seen.add(data)

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish_many([bus.envelope("a.b", n) for n in range(200)])
    assert seen.items == list(range(200))


async def test_after_the_grace_what_runs_is_cancelled_and_given_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport, entered = MemoryTransport(), Seen()
    bus = Bus(transport, retry=quick(1))

    @bus.subscribe("a.b", group="g", concurrency=2)
    async def hang(data: Any) -> None:
        entered.add(data)
        await anyio.sleep_forever()

    with anyio.fail_after(PATIENCE):
        async with bus:
            for n in range(5):
                await bus.publish("a.b", n, key=str(n % 2))
            await entered.count(2)
            await bus.stop(grace=0.01)
    assert "handlers of g are cancelled" in caplog.text
    (state,) = await transport.groups()
    assert (state.lag, state.pending, state.dead) == (5, 0, 0)
    again, seen = Bus(transport), Seen()
    again.add(noting(seen), "a.b", group="g")
    with anyio.fail_after(PATIENCE):
        async with again:
            await seen.count(5)
    assert [n for n in seen.items if n % 2 == 0] == [0, 2, 4]
    assert [n for n in seen.items if n % 2 == 1] == [1, 3]


async def test_a_start_that_fails_leaves_nothing_and_can_be_tried_again() -> None:
    transport = Flaky(MemoryTransport())
    bus, seen = Bus(transport), Seen()
    for name in ("one", "two", "three"):
        bus.add(noting(seen), "a.b", group=name)
    transport.fail("listen", after=2)
    with anyio.fail_after(PATIENCE):
        with pytest.raises(TransportError, match="injected"):
            await bus.start()
        assert bus.stats().state == "stopped"
        assert [state.members for state in await bus.groups()] == [0, 0]
        async with bus:
            await bus.publish("a.b", 1)
    assert seen.items == [1, 1, 1]


async def test_a_broker_that_cannot_be_had_is_raised_by_start_and_by_run() -> None:
    transport = Flaky(MemoryTransport())
    transport.fail("connect", times=2)
    bus = Bus(transport)
    with pytest.raises(TransportError, match="injected"):
        await bus.start()
    with pytest.raises(TransportError, match="injected"):
        await bus.run()


@pytest.mark.parametrize("where", ["connect", "listen"])
async def test_a_start_that_is_cancelled_leaves_nothing(where: Any) -> None:
    transport = Flaky(MemoryTransport())
    bus = Bus(transport)
    bus.add(noting(Seen()), "a.b")
    gate = transport.hold(where)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.start)
            await gate.reached()
            tasks.cancel_scope.cancel()
        assert bus.stats().state == "stopped"
        async with bus:
            await bus.publish("a.b", 1)


@pytest.mark.parametrize("where", ["connect", "listen"])
async def test_a_stop_while_starting_ends_the_start(where: Any) -> None:
    transport = Flaky(MemoryTransport())
    bus, errors = Bus(transport), Seen()
    bus.add(noting(Seen()), "a.b")
    gate = transport.hold(where)

    async def start() -> None:
        with pytest.raises(StateError, match="stopped while it was starting") as caught:
            await bus.start()
        errors.add(caught.value)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start)
            await gate.reached()
            await bus.stop()
            await errors.count(1)
    assert bus.stats().state == "stopped"


async def test_adding_while_the_bus_starts_is_received_too() -> None:
    transport = Flaky(MemoryTransport())
    bus, seen = Bus(transport), Seen()
    bus.add(noting(seen), "a.b", group="one")
    with anyio.fail_after(PATIENCE):
        for where in ("connect", "listen"):
            gate = transport.hold(where)  # type: ignore[arg-type]
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(bus.start)
                await gate.reached()
                bus.add(noting(seen), f"{where}.b", group="one")
                added = bus.add(noting(seen), f"{where}.b", group=where)
                gate.open()
                await added.ready()
            await until(lambda: bus.running)
            await bus.publish(f"{where}.b", where)
            await bus.drain()
            await bus.stop()
            assert seen.items == [where, where]
            seen.items.clear()


async def test_run_of_a_chosen_part_leaves_the_rest_closed() -> None:
    bus, seen = Bus(), Seen()
    bus.add(noting(seen), "order.placed", group="billing")
    bus.add(noting(seen), "user.renamed", group="mail")
    bus.add(noting(seen), "stock.low", group="stock")
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: bus.run(only=["billing", "stock.*"]))
            await until(lambda: bus.running)
            assert {g.name: g.open for g in bus.stats().groups} == {
                "billing": True,
                "mail": False,
                "stock": True,
            }
            await bus.stop()


async def test_an_error_that_escalates_is_raised_by_run() -> None:
    class Fragile(Actor):
        @on("a.b")
        async def handle(self, data: Any) -> None:
            raise ZeroDivisionError("broken")

    bus = Bus(retry=quick(1))
    bus.add(Fragile(), supervise=Supervise("escalate"))
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:

            async def publish() -> None:
                await until(lambda: bus.running)
                await bus.publish("a.b", 1)

            tasks.start_soon(publish)
            with pytest.raises(ZeroDivisionError, match="broken"):
                await bus.run()
        await bus.start()
        await bus.stop()  # an old failure is not raised again
        async with bus:
            pass


async def test_a_feed_that_breaks_while_running_ends_the_bus_and_is_raised() -> None:
    transport = Flaky(PartitionedLog())
    bus, others = Bus(transport, service="s"), Seen()
    bus.add(noting(Seen()), "a.b", group="one")
    bus.add(noting(others), "a.b", group="two")
    transport.fail("ack", times=math.inf, error=ZeroDivisionError("a bug of the adapter"))
    with anyio.fail_after(PATIENCE), pytest.raises(TransportError) as broken:  # noqa: PT012
        async with bus:
            await bus.publish("a.b", 1)
            await until(lambda: not bus.running)
    assert isinstance(broken.value.__cause__, ZeroDivisionError)
    assert bus.stats().state == "stopped"


async def test_the_lifespan_is_the_buss() -> None:
    bus = Bus()
    async with bus.lifespan(object()):
        assert bus.running
    assert not bus.running


async def test_on_stop_that_fails_takes_no_grace_from_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Sour(Actor):
        @on("a.b")
        async def handle(self, data: Any) -> None: ...

        async def on_stop(self) -> None:
            raise ZeroDivisionError("sour")

    bus, seen, entered = Bus(PartitionedLog(), service="s"), Seen(), anyio.Event()

    @bus.subscribe("a.b", group="slow")
    async def slow(data: Any) -> None:
        entered.set()
        await anyio.sleep(0.05)
        seen.add(data)

    bus.add(Sour())
    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", 1)
            await entered.wait()
    assert seen.items == [1]
    assert "on_stop failed" in caplog.text


# --- signals, in a process of their own

PROGRAM = """
import logging, sys
import anyio
from busway import Bus

logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.WARNING)
bus = Bus()

@bus.subscribe("a.b")
async def slow(data):
    print("handling", flush=True)
    try:
        await anyio.sleep({seconds})
        print("handled", flush=True)
    except BaseException:
        print("cancelled", flush=True)
        raise

async def publish():
    while not bus.running:
        await anyio.sleep(0.001)
    await bus.publish("a.b", 1)

async def main():
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publish)
        await bus.run(grace=60)
    print("left", flush=True)

anyio.run(main, backend="{backend}")
"""


def begin(backend: str, seconds: float) -> subprocess.Popen[str]:
    program = textwrap.dedent(PROGRAM).format(backend=backend, seconds=seconds)
    return subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ),
    )


def line_with(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
    raise AssertionError(f"the process ended without saying {text!r}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains_and_counts_down(anyio_backend: str, number: int) -> None:
    with begin(anyio_backend, 1.4) as process:
        try:
            line_with(process, "handling")
            process.send_signal(number)
            assert "draining for up to 60 s" in line_with(process, "draining")
            assert "1 in flight, 59 s left" in line_with(process, "in flight")
            line_with(process, "handled")
            line_with(process, "left")
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


def test_the_second_signal_cancels(anyio_backend: str) -> None:
    with begin(anyio_backend, 3600) as process:
        try:
            line_with(process, "handling")
            process.send_signal(signal.SIGTERM)
            line_with(process, "draining")
            process.send_signal(signal.SIGTERM)
            line_with(process, "cancelled")
            line_with(process, "left")
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
