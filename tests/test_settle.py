"""Verdicts are carried out so that a broker that fails costs a duplicate, never an event."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from busway import Bus, Message, Reject
from busway.errors import TransportError
from busway.memory import MemoryTransport
from busway.testing import Flaky, PartitionedLog
from busway.transport import Purpose
from tests.facts import Seen, letters, noting, quick, stopped_in_mid_handler, until, up

pytestmark = pytest.mark.anyio


def is_dead(item: Any) -> bool:
    return bool(item.address.purpose is Purpose.DEAD)


async def test_nothing_is_acknowledged_before_its_handler_has_returned() -> None:
    transport = Flaky(MemoryTransport())
    bus = Bus(transport)
    entered, leave = anyio.Event(), anyio.Event()

    async def handle(data: Any) -> None:
        entered.set()
        await leave.wait()

    bus.add(handle, "a.b")
    async with up(bus):
        await bus.publish("a.b", 1)
        await entered.wait()
        assert transport.calls["ack"] == 0
        (state,) = await bus.groups()
        assert state.pending == 1
        leave.set()
        await bus.drain()
        assert transport.calls["ack"] == 1


async def test_an_ack_that_the_broker_refuses_is_tried_until_it_holds() -> None:
    transport = Flaky(MemoryTransport())
    bus, seen = Bus(transport), Seen()
    bus.add(noting(seen), "a.b")
    transport.fail("ack", times=3)
    async with up(bus):
        await bus.publish("a.b", 1)
        await bus.drain()
    assert seen.items == [1]
    assert transport.calls["ack"] == 4


async def test_a_dead_letter_is_written_before_its_event_is_acknowledged() -> None:
    transport = Flaky(PartitionedLog())
    bus = Bus(transport, service="s", retry=quick(1))

    @bus.subscribe("a.b", group="g")
    async def handle(data: Any) -> None:
        raise ValueError("no")

    gate = transport.hold("send", when=is_dead)
    async with up(bus):
        await bus.publish("a.b", 1)
        await gate.reached()
        assert transport.calls["ack"] == 0
        gate.open()
        await letters(bus, "g", 1)
        await until(lambda: transport.calls["ack"] == 1)


@pytest.mark.parametrize("how", ["refused", "lost", "unanswered"])
async def test_a_dead_letter_that_cannot_be_written_at_first_is_not_lost(how: Any) -> None:
    transport = Flaky(PartitionedLog())
    bus = Bus(transport, service="s", retry=quick(1))
    attempts: list[int] = []

    @bus.subscribe("a.b", group="g")
    async def handle(data: Any, message: Message[Any]) -> None:
        attempts.append(message.attempt)
        raise ValueError("no")

    transport.fail("send", times=2, how=how, when=is_dead)
    async with up(bus):
        await bus.publish("a.b", 1)
        # Answers that never came cost copies, and nothing else.
        copies = 3 if how == "unanswered" else 1
        await letters(bus, "g", copies)
    assert attempts == [1]


async def test_what_the_broker_refuses_for_good_comes_again_with_its_attempt() -> None:
    transport = Flaky(PartitionedLog())
    bus = Bus(transport, service="s", retry=quick(2, in_place=0.0))
    attempts = Seen()

    @bus.subscribe("a.b", group="g")
    async def handle(data: Any, message: Message[Any]) -> None:
        attempts.add(message.attempt)
        raise ValueError("no")

    transport.fail(
        "send",
        when=lambda item: item.address.purpose is Purpose.RETRY,
        error=TransportError("forbidden", retryable=False),
    )
    async with up(bus):
        await bus.publish("a.b", 1)
        (letter,) = await letters(bus, "g", 1)
    assert attempts.items == [1, 1, 2]
    assert letter.attempts == 2


async def test_a_move_that_was_not_made_tells_of_no_dead_letter() -> None:
    transport = Flaky(MemoryTransport(lease=30.0))
    told: list[Any] = []
    bus = Bus(transport, retry=quick(1), on_dead=told.append)
    lost = transport.inner
    attempts = Seen()

    @bus.subscribe("a.b", group="g")
    async def handle(data: Any, message: Message[Any]) -> None:
        attempts.add(message.attempt)
        if len(attempts.items) == 1:
            # The loan ends while it is being handled, and the event is somebody's again.
            (batch,) = lost._boxes.by_group["g"].lent
            lost._boxes.by_group["g"].put_back(batch.deliveries, handed_out=False)
        raise Reject("no")

    async with up(bus):
        await bus.publish("a.b", 1)
        await attempts.count(2)
        await letters(bus, "g", 1)
        await bus.drain()
    assert len(told) == 1
    assert bus.stats().dead == 1
    assert bus.stats().lost == 1


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), KeyboardInterrupt()])
async def test_on_dead_cannot_stop_a_letter_nor_the_bus(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def on_dead(letter: Any) -> None:
        raise error

    bus, seen = Bus(retry=quick(1), on_dead=on_dead), Seen()

    @bus.subscribe("a.b", group="g")
    async def handle(data: Any) -> None:
        seen.add(data)
        raise ValueError("no")

    async with up(bus):
        await bus.publish("a.b", 1)
        await bus.publish("a.b", 2)
        await letters(bus, "g", 2)
        await bus.drain()
    assert seen.items == [1, 2]
    assert "on_dead failed" in caplog.text


async def test_on_dead_gets_the_letter_as_it_was_written() -> None:
    told = Seen()

    async def on_dead(letter: Any) -> None:
        told.add(letter)

    bus = Bus(retry=quick(2), on_dead=on_dead)

    @bus.subscribe("a.b", group="g")
    async def handle(data: Any) -> None:
        raise ValueError("no")

    async with up(bus):
        await bus.publish("a.b", 1)
        await told.count(1)
        (kept,) = await letters(bus, "g", 1)
    (letter,) = told.items
    assert (letter.attempts, letter.kind, letter.envelope) == (2, "ValueError", kept.envelope)
    assert letter.traceback == kept.traceback


async def test_a_reply_goes_out_before_its_request_is_acknowledged() -> None:
    transport = Flaky(MemoryTransport())
    bus = Bus(transport)

    @bus.subscribe("a.ask")
    async def answer(data: int) -> int:
        return data + 1

    gate = transport.hold("send", when=lambda item: item.address.purpose is Purpose.REPLY)
    async with up(bus), anyio.create_task_group() as tasks:
        found = Seen()

        async def ask() -> None:
            found.add(await bus.request("a.ask", 1))

        tasks.start_soon(ask)
        await gate.reached()
        assert transport.calls["ack"] == 0
        gate.open()
        await found.count(1)
    assert found.items == [2]


async def test_what_cannot_be_given_back_is_said_and_comes_when_its_feed_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = Flaky(PartitionedLog())
    transport.fail("release", times=5)
    async with up(transport):
        await stopped_in_mid_handler(Bus(transport, service="s"))
        assert "could not be given back now" in caplog.text
        again, seen = Bus(transport, service="s"), Seen()
        again.add(noting(seen), "a.b", group="g")
        async with again:
            assert await seen.count(1) == [1]


async def test_the_bus_says_once_that_the_broker_cannot_be_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = Flaky(MemoryTransport())
    bus, seen = Bus(transport), Seen()
    bus.add(noting(seen), "a.b")
    transport.fail("ack", times=3)
    caplog.set_level(logging.WARNING, "busway")
    async with up(bus):
        await bus.publish("a.b", 1)
        await bus.drain()
    assert caplog.text.count("the broker could not be told") == 1
