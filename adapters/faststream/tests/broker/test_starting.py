"""The life of a broker: connected, started, stopped, and started again."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from faststream import BaseMiddleware, FastStream
from faststream.specification import AsyncAPI

from busway import Bus, StateError
from busway.testing import PartitionedLog
from busway_faststream import MessageDep
from tests.facts import PATIENCE, Seen, letters, quick, until

from .started import broker_on, noted, started

__all__: list[str] = []

pytestmark = pytest.mark.anyio


async def test_start_returns_when_every_group_receives() -> None:
    seen, broker = Seen(), broker_on()
    broker.subscriber("order.*")(noted(seen))
    async with started(broker):
        await broker.publish({"a": 1}, "order.placed")
    assert seen.items == [{"a": 1}]


async def test_connected_is_enough_to_publish() -> None:
    broker = broker_on()
    async with broker:
        assert await broker.ping(timeout=1)
        envelope = await broker.publish({"a": 1}, "order.placed")
    assert envelope.topic == "order.placed"
    assert not await broker.ping(timeout=1)


async def test_publishing_before_the_start_says_how_to_start() -> None:
    broker = broker_on()
    with pytest.raises(StateError, match=r"await broker.start\(\)"):
        await broker.publish({"a": 1}, "order.placed")


async def test_a_stopped_broker_can_be_started_again() -> None:
    seen, broker = Seen(), broker_on()
    broker.subscriber("order.*")(noted(seen))
    for number in range(2):
        async with started(broker):
            await broker.publish(number, "order.placed")
    assert seen.items == [0, 1]


async def test_start_and_stop_may_be_called_from_different_tasks() -> None:
    broker = broker_on()
    broker.subscriber("order.*")(noted(Seen()))
    with anyio.fail_after(PATIENCE):
        await asyncio.create_task(broker.start())
        await asyncio.create_task(broker.stop())
    assert not broker.bus.running


async def test_a_bus_that_runs_is_used_and_left_running() -> None:
    seen, bus = Seen(), Bus("memory://", service="shop")
    broker = broker_on_bus(bus)
    broker.subscriber("order.*")(noted(seen))
    with anyio.fail_after(PATIENCE):
        async with bus:
            async with started(broker):
                await bus.publish("order.placed", 1)
            assert bus.running
            await bus.publish("order.placed", 2)
            assert bus.topology().handlers == ()
    assert seen.items == [1]


def broker_on_bus(bus: Bus) -> Any:
    from busway_faststream import BusBroker

    return BusBroker(bus, logger=None)


async def test_stop_lets_what_runs_finish() -> None:
    entered, finished = anyio.Event(), Seen()
    broker = broker_on()

    @broker.subscriber("order.*")
    async def slow(event: Any) -> None:
        entered.set()
        await anyio.sleep(0.05)
        finished.add(event)

    with anyio.fail_after(PATIENCE):
        await broker.start()
        await broker.publish(1, "order.placed")
        await entered.wait()
        await broker.stop()
    assert finished.items == [1]


async def test_after_the_grace_what_runs_is_cut_off() -> None:
    entered, cancelled = anyio.Event(), Seen()
    broker = broker_on(graceful_timeout=0.01)

    @broker.subscriber("order.*")
    async def hang(event: Any) -> None:
        entered.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.add(event)

    with anyio.fail_after(5):  # the default is 15 seconds
        await broker.start()
        await broker.publish(1, "order.placed")
        await entered.wait()
        await broker.stop()
    assert cancelled.items == [1]


async def test_a_stop_has_one_deadline_for_all_that_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graces, broker = Seen(), broker_on(graceful_timeout=0.05)
    asked, stop = broker.subscriber("order.*"), broker.bus.stop

    async def noting(*, grace: float) -> None:
        graces.add(grace)
        await stop(grace=grace)

    await broker.start()
    monkeypatch.setattr(asked, "stop_asking", anyio.sleep_forever)
    monkeypatch.setattr(broker.bus, "stop", noting)
    with anyio.fail_after(PATIENCE):
        await broker.stop()
    assert graces.items == [0.0], "what was left when the first had taken all"


async def test_a_stop_that_is_cancelled_stops_the_bus_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = broker_on(graceful_timeout=60)
    asked = broker.subscriber("order.*")
    await broker.start()
    reached = anyio.Event()

    async def long() -> None:
        reached.set()
        await anyio.sleep_forever()

    monkeypatch.setattr(asked, "stop_asking", long)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(broker.stop)
            await reached.wait()
            tasks.cancel_scope.cancel()
    assert not broker.bus.running
    assert not broker.running


async def test_a_start_that_fails_leaves_nothing_running() -> None:
    broken = Bus(Unreachable(), service="shop")
    broker = broker_on_bus(broken)
    broker.subscriber("order.*")(noted(Seen()))
    with anyio.fail_after(PATIENCE), pytest.raises(OSError, match="nobody there"):
        await broker.start()
    assert not broken.running
    assert broken.topology().handlers == ()


async def test_a_connect_that_fails_leaves_nothing_connected() -> None:
    broker = broker_on_bus(Bus(Unreachable(), service="shop"))
    with anyio.fail_after(PATIENCE), pytest.raises(OSError, match="nobody there"):
        await broker.connect()
    with pytest.raises(StateError, match="the broker is not started"):
        await broker.publish(1, "order.placed")


class Unreachable(PartitionedLog):
    async def __aenter__(self) -> Any:
        raise OSError("nobody there")


async def test_a_bus_that_stopped_by_itself_does_not_answer_a_ping() -> None:
    broker = broker_on()
    broker.subscriber("order.*")(noted(Seen()))
    with anyio.fail_after(PATIENCE):
        await broker.start()
        assert await broker.ping(timeout=1)
        await broker.bus.stop()
        assert not await broker.ping(timeout=1)
        await broker.stop()


async def test_a_subscriber_that_is_added_late_is_started_by_hand() -> None:
    seen, broker = Seen(), broker_on()
    async with started(broker):
        late = broker.subscriber("order.*")
        late(noted(seen))
        await late.start()
        await broker.publish(1, "order.placed")
        await broker.bus.drain(timeout=5)
        await late.stop()
        await broker.publish(2, "order.placed")
    assert seen.items == [1]


async def test_a_page_that_is_rendered_while_a_subscriber_stops_takes_nothing_from_what_runs() -> (
    None
):
    entered, rendered = anyio.Event(), anyio.Event()

    class Held(BaseMiddleware[Any, Any]):
        async def on_receive(self) -> None:
            entered.set()
            await rendered.wait()

    broker = broker_on(middlewares=[Held])
    app = FastStream(broker, specification=AsyncAPI())

    @broker.subscriber("order.*", group="billing", retry=quick(1))
    async def handle(event: Any, message: MessageDep) -> None:
        await message.nack()

    (subscriber,) = broker.subscribers
    async with started(broker), anyio.create_task_group() as tasks:
        await broker.publish(1, "order.placed")
        await entered.wait()
        tasks.start_soon(subscriber.stop)
        await until(lambda: not subscriber.running)
        app.schema.to_specification()
        rendered.set()
        await letters(broker.bus, "billing", 1)


async def test_an_app_starts_and_stops_it() -> None:
    seen, broker = Seen(), broker_on()
    app = FastStream(broker, logger=None)

    @broker.subscriber("order.*")
    async def last(event: Any) -> None:
        seen.add(event)
        app.exit()

    @app.after_startup
    async def publish() -> None:
        await broker.publish(1, "order.placed")

    with anyio.fail_after(PATIENCE):
        await app.run()
    assert seen.items == [1]
    assert not broker.bus.running


async def test_the_bus_of_a_lifespan_may_be_the_brokers() -> None:
    """What the last handlers publish is handled, whoever stops first."""
    bus, seen = Bus("memory://", service="shop"), Seen()
    broker = broker_on_bus(bus)
    app = FastStream(broker, lifespan=bus.lifespan, logger=None)

    @bus.subscribe("order.billed")
    async def note(event: str) -> None:
        seen.add(event)

    @broker.subscriber("order.placed")
    @broker.publisher("order.billed")
    async def bill(event: Any) -> str:
        app.exit()
        return "billed"

    @app.after_startup
    async def publish() -> None:
        await bus.publish("order.placed", 1)

    with anyio.fail_after(PATIENCE):
        await app.run()
    assert seen.items == ["billed"]
    assert not bus.running


async def test_the_bus_of_a_lifespan_may_be_another() -> None:
    other, seen = Bus("memory://", service="other"), Seen()
    broker = broker_on()
    app = FastStream(broker, lifespan=other.lifespan, logger=None)

    @broker.subscriber("order.placed")
    async def relay(event: Any) -> None:
        await other.publish("order.relayed", event)
        app.exit()

    @other.subscribe("order.*")
    async def note(event: Any) -> None:
        seen.add(event)

    @app.after_startup
    async def publish() -> None:
        await broker.publish(1, "order.placed")

    with anyio.fail_after(PATIENCE):
        await app.run()
    assert seen.items == [1]
