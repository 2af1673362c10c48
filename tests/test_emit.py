"""``emit`` neither raises nor waits; what it drops is counted and logged."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import anyio.to_thread
import pytest

from busway import Bus, Envelope
from busway.middleware import Dropped, Hooks, Send, publishing, trace
from tests.helping import URLS, Answering, down, lost, ready

__all__: list[str] = []

pytestmark = pytest.mark.anyio


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]


@pytest.mark.parametrize("url", URLS)
async def test_what_is_emitted_arrives_in_order_before_and_after_the_start(url: str) -> None:
    bus = Bus(url)
    got: list[object] = []
    bus.add(got.append, "**", group="all")
    for number in range(3):
        bus.emit("order.placed", number)
    async with bus:
        for number in range(3, 500):
            bus.emit("order.placed", number)
        await bus.drain(timeout=5)
    assert got == list(range(500))
    assert bus.stats().published == 500


async def test_the_buffer_is_flushed_at_the_stop() -> None:
    transport = Answering()
    transport.closed = anyio.Event()
    bus = Bus(transport)
    await bus.start()
    bus.emit("order.placed", 1)
    await transport.entered.wait()  # the first is in the air
    for number in range(2, 6):
        bus.emit("order.placed", number)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bus.stop)
        await anyio.wait_all_tasks_blocked()
        assert transport.data == []
        transport.closed.set()
    assert transport.data == [1, 2, 3, 4, 5]
    assert bus.stats().dropped == 0


async def test_what_the_grace_did_not_suffice_for_is_counted_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = Answering()
    transport.closed = anyio.Event()
    bus = Bus(transport)
    await bus.start()
    bus.emit("order.placed", 1)
    await transport.entered.wait()
    bus.emit("order.placed", 2)
    await bus.stop(grace=0.01)
    assert transport.data == []
    assert bus.stats().dropped == 2
    assert any("the bus stopped while it was being sent" in text for text in errors(caplog))


async def test_after_the_stop_it_drops_and_after_another_start_it_does_not() -> None:
    transport = Answering()
    bus = Bus(transport)
    async with bus:
        pass
    assert isinstance(bus.emit("order.placed", 1), Envelope)
    assert bus.stats().dropped == 1
    async with bus:
        bus.emit("order.placed", 2)
    assert transport.data == [2]


async def test_it_never_waits_and_its_buffer_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    dropped: list[Dropped] = []

    class Hearing(Hooks):
        def dropped(self, details: Dropped) -> None:
            dropped.append(details)

    transport = Answering()
    transport.closed = anyio.Event()
    async with Bus(transport, emit_buffer=10, middleware=(trace(Hearing()),)) as bus:
        bus.emit("order.placed", 0)
        await transport.entered.wait()
        for number in range(1, 31):
            bus.emit("order.placed", number)
        assert bus.stats().dropped == 20
        transport.closed.set()
    assert transport.data == list(range(11))
    assert [d.content.data for d in dropped] == list(range(11, 31))  # type: ignore[union-attr]
    assert len(errors(caplog)) == 1, "said once, not for each"
    assert "10 events wait already" in errors(caplog)[0]


@pytest.mark.parametrize("answer", [down, lost])
async def test_what_the_broker_does_not_take_is_counted_and_logged(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with Bus(Answering(answer)) as bus:
        bus.emit("order.placed", 1)
        await bus.drain(timeout=5)
        bus.emit("order.placed", 2)
        bus.emit("order.placed", 3)
        await bus.drain(timeout=5)
        stats = bus.stats()
    assert stats.dropped == 3
    assert stats.publish_failed + stats.publish_unknown == 3
    assert errors(caplog)


async def test_a_single_event_that_cannot_be_encoded_is_counted() -> None:
    async with Bus("memory://?codec=json") as bus:
        bus.emit("order.placed", object())
        await bus.drain(timeout=5)
        assert bus.stats().dropped == 1


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ((object(),), {}),
        (("order.*", 1), {}),
        (("order.placed", 1), {"key": 7}),
        (("order.placed", 1), {"delay": "soon"}),
        (("order.placed", 1), {"nonsense": 1}),
        ((None,), {}),
    ],
)
async def test_what_is_no_event_raises_nothing(
    given: Any, options: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bus = Bus()
    assert bus.emit(*given, **options) is None
    assert bus.stats().dropped == 1
    assert "is no event and was dropped" in errors(caplog)[0]


async def test_an_adapter_that_breaks_its_contract_does_not_end_the_sending() -> None:
    transport = Answering()
    transport.raises = ZeroDivisionError("a mistake in the adapter")
    async with Bus(transport) as bus:
        bus.emit("order.placed", 1)
        await bus.drain(timeout=5)
        transport.raises = None
        bus.emit("order.placed", 2)
        await bus.drain(timeout=5)
        assert bus.running
    assert transport.data == [2]
    assert bus.stats().dropped == 1


async def test_a_middleware_that_raises_does_not_end_the_sending() -> None:
    @publishing
    def breaking(send: Send) -> Send:
        async def broken(envelope: Envelope) -> None:
            if envelope.data == 1:
                raise ZeroDivisionError("a mistake in the middleware")
            await send(envelope)

        return broken

    transport = Answering()
    async with Bus(transport, middleware=(breaking,)) as bus:
        bus.emit("order.placed", 1)
        await bus.drain(timeout=5)
        bus.emit("order.placed", 2)
        await bus.drain(timeout=5)
    assert transport.data == [2]
    assert bus.stats().dropped == 1


async def test_a_thread_may_emit() -> None:
    """A plain handler runs in one."""
    transport = Answering()
    async with Bus(transport) as bus:
        await anyio.wait_all_tasks_blocked()  # the sender sleeps and must be woken from the thread
        await anyio.to_thread.run_sync(bus.emit, "order.placed", 1)
        with anyio.fail_after(5):
            await transport.entered.wait()
    assert transport.data == [1]


async def test_what_a_handler_emits_is_a_child_of_what_it_handles() -> None:
    async with Bus() as bus:
        got: list[Envelope] = []

        @bus.subscribe("order.placed")
        def plain(data: object) -> None:
            bus.emit("order.seen", 1)

        @bus.subscribe("order.seen")
        async def see(envelope: Envelope) -> None:
            got.append(envelope)

        await ready(bus)
        parent = await bus.publish("order.placed", {})
        with anyio.fail_after(5):
            while not got:
                await bus.drain(timeout=5)
    assert (got[0].causation_id, got[0].correlation_id) == (parent.id, parent.id)


async def test_a_delay_is_kept() -> None:
    transport = Answering()
    async with Bus(transport) as bus:
        bus.emit("order.placed", 1, delay=3600)
    assert transport.sent[0].due is not None
