"""The same on Redis and on Kafka, and beside FastStream's own broker in one app."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import anyio
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faststream import FastStream, Path, TestApp
from faststream.redis import RedisBroker

from busway import Bus
from busway_faststream import BusBroker, MessageDep
from tests.facts import PATIENCE, Seen, letters, quick

from ..helping import eventually
from .started import Struct, started

__all__: list[str] = []

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["redis", "kafka"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(f"{request.param}_url")
    mark = "&" if "?" in found else "?"
    return f"{found}{mark}prefix=t{uuid.uuid4().hex[:8]}."


async def test_handlers_retries_and_dead_letters_are_the_same_on_a_server(url: str) -> None:
    seen = Seen()
    broker = BusBroker(url, service="shop", logger=None)

    @broker.subscriber("order.{kind}", group="billing", retry=quick(2), concurrency=4)
    @broker.publisher("noted.order")
    async def bill(event: Struct, kind: Annotated[str, Path()], message: MessageDep) -> str:
        seen.add((event.name, kind, message.raw_message.attempt))
        if event.name == "bad":
            raise ConnectionError
        return event.name

    @broker.subscriber("noted.*", group="notes")
    async def note(event: str, message: MessageDep) -> None:
        seen.add((event, message.correlation_id))

    with anyio.fail_after(PATIENCE):
        await broker.start()
        try:
            sent = await broker.publish(Struct("oak"), "order.placed", key="o-1")
            await broker.publish(Struct("bad"), "order.paid", key="o-2")
            (letter,) = await letters(broker.bus, "billing", 1)
            await seen.count(4)
        finally:
            await broker.stop()
    assert letter.attempts == 2
    assert sorted(seen.items, key=repr) == sorted(
        [
            ("oak", "placed", 1),
            ("bad", "paid", 1),
            ("bad", "paid", 2),
            ("oak", sent.correlation_id),
        ],
        key=repr,
    )


async def test_a_request_crosses_the_server(redis_url: str) -> None:
    prefix = uuid.uuid4().hex[:8]
    broker = BusBroker(f"{redis_url}?prefix={prefix}", service="shop", logger=None)

    @broker.subscriber("price.asked", group="prices")
    async def price(event: Struct) -> Struct:
        return Struct(event.name, 7)

    async with started(broker):
        reply = await broker.request({"name": "oak"}, "price.asked", timeout=PATIENCE)
        assert await reply.decode() == {"name": "oak", "size": 7}


class Theirs(NamedTuple):
    """A broker of FastStream's with two topics."""

    broker: Any
    subscriber: Callable[[str], Any]
    come: str
    go: str


@pytest.fixture(params=["redis", "kafka"])
async def theirs(request: pytest.FixtureRequest) -> Theirs:
    url: str = request.getfixturevalue(f"{request.param}_url")
    name = uuid.uuid4().hex[:8]
    topics = f"in-{name}", f"out-{name}"
    if request.param == "redis":
        broker = pytest.importorskip("faststream.redis").RedisBroker(url, logger=None)
        return Theirs(broker, broker.subscriber, *topics)
    servers = urlsplit(url).netloc
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(each, 1, 1) for each in topics])
    finally:
        await admin.close()
    broker = pytest.importorskip("faststream.kafka").KafkaBroker(servers, logger=None)
    return Theirs(broker, partial(broker.subscriber, auto_offset_reset="earliest"), *topics)


async def test_it_stands_beside_another_broker_in_one_app(theirs: Theirs) -> None:
    broker, subscriber, come, go = theirs
    ours = BusBroker("memory://", service="shop", logger=None)
    app, seen = FastStream(broker, ours, logger=None), Seen()

    @subscriber(come)
    @ours.publisher("order.placed")
    async def take_over(event: dict[str, Any]) -> dict[str, Any]:
        return {**event, "via": "theirs"}

    @ours.subscriber("order.*")
    @broker.publisher(go)
    async def back(event: dict[str, Any]) -> dict[str, Any]:
        return event

    @subscriber(go)
    async def note(event: dict[str, Any]) -> None:
        seen.add(event)
        app.exit()

    @app.after_startup
    async def publish() -> None:
        await broker.publish({"a": 1}, come)

    with anyio.fail_after(PATIENCE):
        await app.run()
    assert seen.items == [{"a": 1, "via": "theirs"}]
    assert len(app.schema.to_specification().servers) == 2


@pytest.mark.parametrize("first", ["theirs", "ours"])
async def test_beside_another_broker_the_lifespan_of_its_bus_drains_both_ways(
    redis_url: str, first: str
) -> None:
    """Both have a last handler: theirs wakes ours, and that publishes by theirs once more."""
    theirs, bus = RedisBroker(redis_url, logger=None), Bus("memory://")
    ours = BusBroker(bus, logger=None)
    come, go = f"in-{uuid.uuid4().hex[:8]}", f"out-{uuid.uuid4().hex[:8]}"
    entered, going_on = anyio.Event(), anyio.Event()

    @theirs.subscriber(stream=come)
    async def handle(order: int) -> None:
        entered.set()
        await going_on.wait()
        await ours.publish(order, "order.placed")

    @ours.subscriber("order.*")
    async def answer(order: int) -> None:
        with anyio.move_on_after(0.5):  # theirs does not close for all that time
            await eventually(lambda: not theirs.running)
        await theirs.publish(order, stream=go)

    async def let_go() -> None:
        await eventually(lambda: not theirs.subscribers[0].running)
        going_on.set()

    both = (theirs, ours) if first == "theirs" else (ours, theirs)
    with anyio.fail_after(PATIENCE):
        async with (
            anyio.create_task_group() as tasks,
            TestApp(FastStream(*both, lifespan=bus.lifespan, logger=None)),
        ):
            await theirs.publish(1, stream=come)
            await entered.wait()
            tasks.start_soon(let_go)
        async with RedisBroker(redis_url, logger=None) as looking:
            assert await (await looking.connect()).xlen(go) == 1
