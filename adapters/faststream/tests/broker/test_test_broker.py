"""``TestBusBroker``: handlers run inside of publish."""

from __future__ import annotations

from itertools import permutations
from typing import Annotated, Any

import pytest
from faststream import FastStream, Path, TestApp
from faststream.exceptions import NackMessage, SubscriberNotFound
from pydantic import ValidationError

from busway import Batch, Undecodable
from busway_faststream import MessageDep, TestBusBroker
from tests.facts import Seen

from .started import Model, Placed, Struct, broker_on

__all__: list[str] = []

pytestmark = pytest.mark.anyio


async def test_a_publish_has_called_the_handlers_when_it_returns() -> None:
    broker = broker_on("redis://nowhere:1")

    @broker.subscriber("order.{kind}")
    @broker.publisher("order.billed.twice")
    async def handle(event: Model, kind: Annotated[str, Path()]) -> str:
        return f"{event.name} {kind}"

    async with TestBusBroker(broker) as test:
        await test.publish({"name": "oak"}, "order.placed")
        handle.mock.assert_called_once_with({"name": "oak"})
        assert broker.publishers[0].mock is not None
        broker.publishers[0].mock.assert_called_once_with("oak placed")
    assert not broker.bus.running


async def test_errors_of_handlers_come_out_of_publish() -> None:
    broker = broker_on()

    @broker.subscriber("tree.model")
    async def model(event: Model) -> None: ...

    @broker.subscriber("tree.struct")
    async def struct(event: Struct) -> None: ...

    @broker.subscriber("tree.nack")
    async def nack(event: Any) -> None:
        raise NackMessage

    async with TestBusBroker(broker) as test:
        with pytest.raises(ValidationError):
            await test.publish({"size": 1}, "tree.model")
        with pytest.raises(Undecodable):
            await test.publish({"size": 1}, "tree.struct")
        await test.publish(1, "tree.nack")
        nack.mock.assert_called_once_with(1)


@pytest.mark.parametrize("patterns", list(permutations(["order.*", "order.placed", "order.p*"])))
async def test_of_each_group_the_most_specific_handler_is_called(patterns: list[str]) -> None:
    broker, seen = broker_on(), Seen()

    def noting(name: str) -> Any:
        async def handle(event: Any) -> None:
            seen.add(name)

        return handle

    for pattern in patterns:
        broker.subscriber(pattern, group="billing")(noting(pattern))
    broker.subscriber("**")(noting("log"))
    async with TestBusBroker(broker) as test:
        await test.publish(1, "order.placed")
        assert sorted(seen.items) == ["log", "order.placed"]
        await test.publish(1, "order.paid")
        assert sorted(seen.items[2:]) == ["log", "order.p*"]


async def test_children_are_children_in_tests_too() -> None:
    broker, seen = broker_on(), Seen()

    @broker.subscriber("cart.placed")
    async def handle(event: Placed, message: MessageDep) -> None:
        child = await broker.publish(2, "order.billed")
        seen.add((child.causation_id == message.message_id, child.correlation_id))

    @broker.subscriber("order.billed")
    async def bill(event: int) -> None:
        seen.add(event)

    async with TestBusBroker(broker) as test:
        await test.publish(Placed("o-1"), correlation_id="c-1")
    assert seen.items == [2, (True, "c-1")]


async def test_requests_and_batches_are_answered() -> None:
    broker = broker_on()

    @broker.subscriber("price.asked")
    async def price(event: Struct) -> Model:
        return Model(name=event.name)

    @broker.subscriber("tree.*", batch=Batch(3, within=1))
    async def store(events: list[Struct]) -> None: ...

    async with TestBusBroker(broker) as test:
        reply = await test.request(Struct("oak"), "price.asked")
        assert (await reply.decode())["name"] == "oak"
        with pytest.raises(SubscriberNotFound):
            await test.request(1, "nobody.listens")
        await test.publish_batch(Struct("a"), Struct("b"), topic="tree.seen")
        store.mock.assert_called_once_with([Struct("a"), Struct("b")])


async def test_an_apps_hooks_run_with_it() -> None:
    broker, seen = broker_on(), Seen()
    app = FastStream(broker, logger=None)

    @broker.subscriber("order.placed")
    async def handle(event: Any) -> None:
        seen.add(event)

    @app.after_startup
    async def publish() -> None:
        await broker.publish(1, "order.placed")

    async with TestBusBroker(broker), TestApp(app):
        assert seen.items == [1]


async def test_with_real_it_is_the_bus_and_mocks_are_asked_after_it() -> None:
    broker = broker_on()

    @broker.subscriber("order.placed", group="billing")
    @broker.publisher("order.billed")
    async def handle(event: Any) -> str:
        return "billed"

    async with TestBusBroker(broker, with_real=True) as test:
        await test.publish(1, "order.placed")
        await handle.wait_call(timeout=5)
        await test.bus.drain(timeout=5)
        handle.mock.assert_called_once_with(1)
        (publisher,) = broker.publishers
        publisher.mock.assert_called_once_with("billed")
