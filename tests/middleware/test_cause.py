"""``cause`` and ``caused_by``: what a publish is a child of."""

from __future__ import annotations

import anyio
import pytest
from msgspec import Struct

from busway import Bus, Envelope, Message, StateError, event
from busway.middleware import cause, caused_by
from tests.facts import PATIENCE, Seen, turns, until
from tests.helping import URLS

pytestmark = pytest.mark.anyio


@event("cause.plain")
class Plain(Struct):
    number: int


REQUEST = Envelope(
    "request",
    given_id="r-1",
    given_correlation_id="c-1",
    tenant="acme",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    tracestate="vendor=1",
)


@pytest.mark.parametrize("url", URLS)
async def test_what_is_published_inside_is_a_child_of_what_caused_it(url: str) -> None:
    async with Bus(url) as bus:
        await bus.publish(Plain(0))
        with caused_by(REQUEST):
            # From the second on, a declared class has a shorter way, which knows no parent.
            events = [await bus.publish(Plain(1)), await bus.publish("a.b", 1)]
            events += await bus.publish_many([Plain(2)])
            events.append(bus.envelope("a.b"))
        after = await bus.publish(Plain(3))
    for each in events:
        assert each.correlation_id == "c-1"
        assert each.causation_id == "r-1"
        assert each.tenant == "acme"
        assert (each.traceparent, each.tracestate) == (REQUEST.traceparent, REQUEST.tracestate)
    assert (after.correlation_id, after.causation_id) == (after.id, None)


async def test_what_emit_sends_inside_is_a_child_too() -> None:
    async with Bus() as bus:
        with caused_by(REQUEST):
            emitted = bus.emit("a.b", 1)
    assert emitted is not None
    assert emitted.correlation_id == "c-1"


async def test_the_cause_in_a_handler_is_its_envelope_and_outside_there_is_none() -> None:
    found: list[Envelope | None] = []
    bus = Bus()

    @bus.subscribe("a.b")
    async def handle(data: int) -> None:
        found.append(cause())

    async with bus:
        sent = await bus.publish("a.b", 1)
        await bus.drain()
    assert [each and each.id for each in found] == [sent.id]
    assert cause() is None
    with caused_by(REQUEST):
        assert cause() is REQUEST
    assert cause() is None


async def test_who_is_caused_by_something_still_waits_for_room() -> None:
    """It is not taken for a handler, which must not wait."""
    let_go, bus = anyio.Event(), Bus(max_in_flight=1)

    @bus.subscribe("a.b")
    async def handle(data: int) -> None:
        await let_go.wait()

    sent: list[int] = []

    async def publish() -> None:
        with caused_by(REQUEST):
            for number in range(10_000):
                await bus.publish("a.b", number)
                sent.append(number)

    with anyio.fail_after(PATIENCE):
        async with bus, anyio.create_task_group() as tasks:
            tasks.start_soon(publish)
            await until(lambda: bool(sent))
            await turns()
            assert len(sent) < 10_000
            tasks.cancel_scope.cancel()
            let_go.set()


async def test_a_bus_that_stops_takes_nothing_from_elsewhere() -> None:
    bus, seen, let_go = Bus(), Seen(), anyio.Event()

    @bus.subscribe("a.b")
    async def handle(data: int) -> None:
        seen.items.append(data)
        await let_go.wait()

    with anyio.fail_after(PATIENCE):
        await bus.start()
        await bus.publish("a.b", 1)
        async with anyio.create_task_group() as tasks:
            await until(lambda: len(seen.items) == 1)
            tasks.start_soon(bus.stop)
            await until(lambda: not bus.running)
            with caused_by(REQUEST), pytest.raises(StateError, match="stopping"):
                await bus.publish("a.b", 2)
            let_go.set()


async def test_inside_a_handler_another_cause_changes_nothing_but_the_parent() -> None:
    children: list[Envelope] = []
    bus = Bus(max_in_flight=1)

    @bus.subscribe("a.b", group="one")
    async def handle(data: int, message: Message[int]) -> None:
        with caused_by(REQUEST):
            # A handler must not wait for the room that it would make itself.
            children.extend([await bus.publish("a.c", number) for number in range(10_000)])

    @bus.subscribe("a.c", group="one")
    async def child(data: int) -> None: ...

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", 1)
            await bus.drain()
    assert {each.correlation_id for each in children} == {"c-1"}
