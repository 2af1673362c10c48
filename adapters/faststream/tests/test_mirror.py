"""``MirrorToBus``: what an app consumes or publishes also goes to the bus."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest
from faststream import AckPolicy, FastStream, TestApp
from faststream.kafka import KafkaBroker, KafkaPublishMessage, KafkaResponse, TestKafkaBroker
from faststream.redis import RedisBroker, TestRedisBroker
from pydantic import BaseModel, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass

from busway import Batch, Bus, Envelope, InvalidEvent, OptionError, PublishError, TooLarge, event
from busway.memory import MemoryTransport
from busway.testing import Flaky
from busway_faststream import BusBroker, BusMiddleware, MirrorToBus
from tests.facts import PATIENCE, Seen

from .helping import eventually, fresh, fresh_topic, kafka_servers, stream

pytestmark = pytest.mark.anyio


@event("mirror.order", key="id")
class Order(msgspec.Struct, frozen=True):
    id: str
    total: float


def watching(bus: Bus, pattern: str = "**") -> list[Envelope]:
    """What arrives on the bus."""
    found: list[Envelope] = []

    async def watch(envelope: Envelope) -> None:
        found.append(envelope)

    bus.add(watch, pattern, group="watching")
    return found


async def pending(redis_url: str, name: str, group: str = "g") -> int:
    async with RedisBroker(redis_url, logger=None) as broker:
        client = await broker.connect()
        return int((await client.xpending(name, group))["pending"])


async def test_what_an_app_consumes_goes_to_the_bus(redis_url: str) -> None:
    name, bus, handled = fresh("orders"), Bus(service="shop"), Seen()
    found = watching(bus)
    mirror = MirrorToBus(bus, topics={name: "order.placed"}, published=False)
    broker = RedisBroker(redis_url, logger=None, middlewares=[mirror])

    @broker.subscriber(stream=stream(name))
    async def handle(order: dict[str, Any]) -> None:
        handled.add(order)

    @broker.subscriber(stream=stream(other := fresh("other")))
    async def elsewhere(order: dict[str, Any]) -> None:
        handled.add(order)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish({"id": "o-1"}, stream=other)
        sent = await broker.publish(
            {"id": "o-2"}, stream=name, correlation_id="c-1", headers={"who": "me"}
        )
        await eventually(lambda: len(handled.items) == 2)
    assert [each.type for each in found] == ["order.placed"], "the other is not named in topics"
    (one,) = found
    assert one.data == {"id": "o-2"}
    assert one.id == f"{name}-{sent.decode()}"
    assert (one.correlation_id, one.causation_id, one.source) == ("c-1", None, "shop")
    assert one.headers["who"] == "me"
    assert int(one.timestamp * 1000) == int(sent.decode().partition("-")[0])


async def test_an_event_is_not_its_own_cause() -> None:
    """Though its message is what is being handled."""
    bus = Bus(service="shop")
    found = watching(bus)
    mirror = MirrorToBus(bus, topics={"orders": "order.placed"}, published=False)
    broker = RedisBroker(logger=None, middlewares=[BusMiddleware, mirror])

    @broker.subscriber("orders")
    async def handle(order: int) -> None: ...

    async with TestRedisBroker(broker), TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish(1, "orders")
    assert [each.causation_id for each in found] == [None]


async def test_what_an_app_publishes_goes_to_the_bus_and_is_not_mirrored_again_where_it_is_consumed(
    redis_url: str,
) -> None:
    name, bus, handled = fresh("orders"), Bus(service="shop"), Seen()
    found = watching(bus)
    mirror = MirrorToBus(bus, topics={name: "order.placed"})
    broker = RedisBroker(redis_url, logger=None, middlewares=[mirror])

    @broker.subscriber(stream=stream(name))
    async def handle(order: dict[str, Any]) -> None:
        handled.add(order)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish({"id": "o-1"}, stream=name, correlation_id="c-1")
        await eventually(lambda: handled.items)
    assert [(each.data, each.correlation_id) for each in found] == [({"id": "o-1"}, "c-1")]
    assert mirror.echoes == 1


async def test_what_a_handler_returns_to_a_publisher_goes_to_the_bus(redis_url: str) -> None:
    name, out, bus = fresh("orders"), fresh("bills"), Bus(service="shop")
    found = watching(bus)
    mirror = MirrorToBus(bus, topics={out: "order.billed"})
    broker = RedisBroker(redis_url, logger=None, middlewares=[mirror])

    @broker.subscriber(stream=stream(name))
    @broker.publisher(stream=out)
    async def handle(order: dict[str, Any]) -> dict[str, Any]:
        return {"bill": order["id"]}

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish({"id": "o-1"}, stream=name, correlation_id="c-1")
        await eventually(lambda: found)
    assert [(each.data, each.correlation_id) for each in found] == [({"bill": "o-1"}, "c-1")]


class Model(BaseModel):
    id: str
    total: float


class Aliased(BaseModel):
    order_id: str = Field(alias="orderId")


@pydantic_dataclass
class AliasedDataclass:
    order_id: str = Field(alias="orderId")


@pytest.mark.parametrize(
    ("body", "data"),
    [
        ({"data": "a text, which FastStream's parser has a trap for"}, None),
        ([1, 2], None),
        ("text", None),
        (Model(id="o-1", total=1.5), {"id": "o-1", "total": 1.5}),
        (Aliased(orderId="o-1"), {"orderId": "o-1"}),
        (AliasedDataclass(orderId="o-1"), {"orderId": "o-1"}),
        (b'{"id": "o-1"}', {"id": "o-1"}),
        (None, None),
    ],
    ids=[
        "object",
        "list",
        "text",
        "pydantic",
        "aliases",
        "dataclass of aliases",
        "bytes of JSON",
        "nothing",
    ],
)
@pytest.mark.parametrize("published", [True, False], ids=["published", "consumed"])
async def test_whatever_is_in_a_message_arrives(
    body: Any, data: Any, published: bool, redis_url: str
) -> None:
    name, bus, handled = fresh("orders"), Bus("memory://?codec=json", service="shop"), Seen()
    found: list[Any] = []

    @bus.subscribe("**")
    async def watch(data: Any) -> None:
        found.append(data)

    mirror = MirrorToBus(
        bus, topics={name: "order.placed"}, published=published, consumed=not published
    )
    broker = RedisBroker(redis_url, logger=None, middlewares=[mirror])

    @broker.subscriber(stream=stream(name))
    async def handle(order: Any) -> None:
        handled.add(order)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish(body, stream=name)
        await eventually(lambda: handled.items)
    expected = data if data is not None or body is None else body
    assert found == [expected]


async def test_bytes_that_are_no_json_arrive_as_they_came(redis_url: str) -> None:
    name, bus = fresh("images"), Bus("memory://?codec=json", service="shop")
    found: list[bytes] = []

    @bus.subscribe("**")
    async def watch(data: bytes) -> None:
        found.append(data)

    mirror = MirrorToBus(bus, topics={name: "image.taken"})
    broker = RedisBroker(redis_url, logger=None, middlewares=[mirror])

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish(b"\x89PNG\x00", stream=name)
        await eventually(lambda: found)
    assert found == [b"\x89PNG\x00"]


async def test_a_batch_is_as_many_events_as_it_has_messages(redis_url: str) -> None:
    name, bus, handled = fresh("orders"), Bus(service="shop"), Seen()
    found = watching(bus)
    mirror = MirrorToBus(bus, topics={name: "order.placed"}, published=False)
    broker = RedisBroker(redis_url, logger=None, middlewares=[mirror])

    @broker.subscriber(stream=stream(name, batch=True, max_records=10))
    async def handle(orders: list[int]) -> None:
        for order in orders:
            handled.add(order)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        sent = [
            await broker.publish(number, stream=name, correlation_id=f"c-{number}")
            for number in range(5)
        ]
        await eventually(lambda: len(handled.items) == 5)
    assert [each.data for each in found] == [0, 1, 2, 3, 4]
    assert [each.id for each in found] == [f"{name}-{each.decode()}" for each in sent]
    assert [each.correlation_id for each in found] == [f"c-{number}" for number in range(5)]


async def test_a_message_of_kafka_keeps_its_key_its_time_and_its_place(kafka_url: str) -> None:
    servers = kafka_servers(kafka_url)
    name, bus, handled = await fresh_topic(servers, "orders"), Bus(service="shop"), Seen()
    found = watching(bus)
    mirror = MirrorToBus(bus, topics={name: "order.placed"}, published=False)
    broker = KafkaBroker(servers, logger=None, middlewares=[mirror])

    @broker.subscriber(
        name,
        group_id=name,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
    )
    async def handle(order: dict[str, Any]) -> None:
        handled.add(order)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        record = await broker.publish(
            {"id": "o-1"}, name, key=b"o-1", correlation_id="c-1", headers={"who": "me"}
        )
        await eventually(lambda: handled.items)
    (one,) = found
    assert (one.id, one.key, one.correlation_id) == (f"{name}-0-0", "o-1", "c-1")
    assert one.data == {"id": "o-1"}
    assert one.headers["who"] == "me"
    assert round(one.timestamp * 1000) == record.timestamp


async def test_what_an_app_publishes_to_kafka_has_the_key_that_it_is_sent_with() -> None:
    """That of the call, of the publisher, and of what a handler returns; the consumed copy, which
    would have it, is dropped as an echo."""
    bus = Bus(service="shop")
    found = watching(bus)
    broker = KafkaBroker(logger=None, middlewares=[MirrorToBus(bus)])
    publisher = broker.publisher("paid", key=b"of the publisher")

    @broker.subscriber("orders")
    @publisher
    async def pay(order: int) -> KafkaResponse:
        return KafkaResponse(2, key=b"of the response")

    async with TestKafkaBroker(broker), TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish(1, "orders", key=b"of the call")
        await publisher.publish(3)
        await broker.publish(4, "bills")
    assert [(each.data, each.key) for each in found] == [
        (1, "of the call"),
        (2, "of the response"),
        (3, "of the publisher"),
        (4, None),
    ]


async def test_a_batch_that_an_app_publishes_to_kafka_has_a_key_for_each() -> None:
    bus = Bus(service="shop")
    found = watching(bus)
    broker = KafkaBroker(logger=None, middlewares=[MirrorToBus(bus)])
    publisher = broker.publisher("orders", batch=True, key=b"of all")
    async with TestKafkaBroker(broker), TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await publisher.publish(
            KafkaPublishMessage(1, key=b"one"), KafkaPublishMessage(2, key="zwölf".encode()), 3
        )
    assert [(each.data, each.key) for each in found] == [(1, "one"), (2, "zwölf"), (3, "of all")]


async def test_what_is_published_without_a_key_has_that_of_its_class() -> None:
    bus = Bus(service="shop")
    found = watching(bus)
    mirror = MirrorToBus(bus, topics={"orders": "mirror.order"})
    broker = KafkaBroker(logger=None, middlewares=[mirror])
    async with TestKafkaBroker(broker), TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish({"id": "o-1", "total": 1.5}, "orders")
    assert [each.key for each in found] == ["o-1"]


async def test_a_batch_of_kafka_is_as_many_events_as_it_has_records(kafka_url: str) -> None:
    servers = kafka_servers(kafka_url)
    name, bus, handled = await fresh_topic(servers, "orders"), Bus(service="shop"), Seen()
    found = watching(bus)
    mirror = MirrorToBus(bus, topics={name: "order.placed"}, published=False)
    broker = KafkaBroker(servers, logger=None, middlewares=[mirror])

    @broker.subscriber(
        name,
        group_id=name,
        batch=True,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
    )
    async def handle(orders: list[int]) -> None:
        for order in orders:
            handled.add(order)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        records = [KafkaPublishMessage(number, key=b"k") for number in range(3)]
        await broker.publish_batch(*records, topic=name)
        await eventually(lambda: len(handled.items) == 3)
    assert [each.data for each in found] == [0, 1, 2]
    assert [each.id for each in found] == [f"{name}-0-{number}" for number in range(3)]
    assert {each.key for each in found} == {"k"}


async def test_each_record_of_a_batch_of_several_topics_is_mirrored_under_its_own(
    kafka_url: str,
) -> None:
    servers = kafka_servers(kafka_url)
    one, two = await fresh_topic(servers, "orders"), await fresh_topic(servers, "bills")
    bus, handled = Bus(service="shop"), Seen()
    found = watching(bus)
    topics = {one: "order.placed", two: "order.billed"}
    mirror = MirrorToBus(bus, topics=topics, published=False)
    broker = KafkaBroker(servers, logger=None, middlewares=[mirror])

    @broker.subscriber(
        one,
        two,
        group_id=one,
        batch=True,
        batch_timeout_ms=1000,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
    )
    async def handle(orders: list[int]) -> None:
        handled.add(len(orders))

    async with broker:
        for number in range(3):
            await broker.publish(number, one)
            await broker.publish(10 + number, two)
    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await eventually(lambda: sum(handled.items) == 6)
    assert sorted((each.type, each.data) for each in found) == [
        *(("order.billed", 10 + number) for number in range(3)),
        *(("order.placed", number) for number in range(3)),
    ]


async def test_an_envelope_that_a_bus_broker_publishes_is_the_same_event_on_the_other_bus() -> None:
    """Once, though the same app consumes it."""
    bus = Bus(service="mirror")
    found, handled = watching(bus), Seen()
    broker = BusBroker(service="shop", logger=None, middlewares=[mirror := MirrorToBus(bus)])

    @broker.subscriber("mirror.order")
    async def handle(order: Order) -> None:
        handled.add(order)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        made = broker.bus.envelope(Order("o-1", 1.5), headers={"who": "me"}, tenant="acme")
        sent = await broker.publish(made)
        await eventually(lambda: handled.items)
        await eventually(lambda: mirror.echoes)
    (one,) = found
    assert msgspec.to_builtins(one.data) == {"id": "o-1", "total": 1.5}
    for name in ("id", "type", "key", "source", "correlation_id", "tenant", "time"):
        assert getattr(one, name) == getattr(sent, name), name
    assert one.headers["who"] == "me"


@pytest.mark.parametrize("batch", [None, Batch(10, within=0.01)], ids=["alone", "in a batch"])
async def test_an_event_that_a_bus_broker_consumes_is_the_same_event_on_the_other_bus(
    batch: Batch | None,
) -> None:
    bus, handled = Bus(service="mirror"), Seen()
    found = watching(bus)
    broker = BusBroker(service="shop", logger=None, middlewares=[MirrorToBus(bus)])

    @broker.subscriber("mirror.order", batch=batch)
    async def handle(order: Any) -> None:
        handled.add(order)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        made = broker.bus.envelope(
            Order("o-1", 1.5),
            tenant="acme",
            user="u-1",
            causation_id="why",
            idempotency_key="once",
            aggregate=("order", "o-1"),
            headers={"who": "me"},
        )
        sent = await broker.bus.publish(msgspec.structs.replace(made, schema_version=3))
        await eventually(lambda: handled.items)
    (one,) = found
    others = {"data", "content_type", "headers", "given_correlation_id", "timestamp"}
    for name in {*Envelope.__struct_fields__, "time", "correlation_id", "duplicate_key"} - others:
        assert getattr(one, name) == getattr(sent, name), name
    assert one.headers["who"] == "me"


async def test_a_declared_event_is_checked_and_has_its_key(redis_url: str) -> None:
    name, bus = fresh("orders"), Bus(service="shop")
    found = watching(bus)
    mirror = MirrorToBus(bus, topics={name: "mirror.order"})
    broker = RedisBroker(redis_url, logger=None, middlewares=[mirror])
    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish({"id": "o-1", "total": 1.5}, stream=name)
        await eventually(lambda: found)
    assert found[0].key == "o-1"


async def test_topics_may_be_a_function_or_left_out() -> None:
    bus = Bus(service="shop")
    found = watching(bus)

    def topic_of(name: str) -> str | None:
        return None if name == "secret" else f"{name}.seen"

    one = RedisBroker(logger=None, middlewares=[MirrorToBus(bus, topics=topic_of, consumed=False)])
    two = RedisBroker(logger=None, middlewares=[MirrorToBus(bus, consumed=False)])

    @one.subscriber("orders")
    @one.subscriber("secret")
    async def first(order: int) -> None: ...

    @two.subscriber("orders")
    async def second(order: int) -> None: ...

    async with TestRedisBroker(one, two), TestApp(FastStream(one, two, lifespan=bus.lifespan)):
        await one.publish(1, "orders")
        await one.publish(2, "secret")
        await two.publish(3, "orders")
    assert [(each.type, each.data) for each in found] == [("orders.seen", 1), ("orders", 3)]


# --- the bus has it first ---------------------------------------------------------------------


async def test_a_message_is_acknowledged_when_the_bus_has_it(redis_url: str) -> None:
    """The bus does not take it at first. It is pending until it does, and then handled."""
    name, transport = fresh("orders"), Flaky(MemoryTransport())
    bus, handled = Bus(transport, service="shop"), Seen()
    found = watching(bus)
    mirror = MirrorToBus(bus, topics={name: "order.placed"}, published=False)
    broker = RedisBroker(redis_url, logger=None, middlewares=[mirror])

    @broker.subscriber(stream=stream(name))
    async def handle(order: int) -> None:
        handled.add(order)

    gate = transport.hold("send")
    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish(1, stream=name)
        await gate.reached()
        assert await pending(redis_url, name) == 1
        assert handled.items == [], "the bus has it first"
        gate.open()
        await eventually(lambda: handled.items)
    assert await pending(redis_url, name) == 0
    assert [each.data for each in found] == [1]


async def test_what_the_bus_does_not_take_at_first_is_tried_again(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    name, transport = fresh("orders"), Flaky(MemoryTransport())
    bus, handled = Bus(transport, service="shop"), Seen()
    found = watching(bus)
    mirror = MirrorToBus(bus, topics={name: "order.placed"}, published=False)
    broker = RedisBroker(redis_url, logger=None, middlewares=[mirror])

    @broker.subscriber(stream=stream(name))
    async def handle(order: int) -> None:
        handled.add(order)

    transport.fail("send", times=3)
    with caplog.at_level(logging.WARNING, "busway.faststream"):
        async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
            await broker.publish(1, stream=name)
            await eventually(lambda: handled.items)
    assert {each.id for each in found} == {found[0].id}, "the same event, whatever was tried"
    assert await pending(redis_url, name) == 0
    assert [r.message for r in caplog.records if "does not take events" in r.message]


async def test_of_a_batch_only_what_the_bus_did_not_take_is_tried_again() -> None:
    transport = Flaky(MemoryTransport())
    bus = Bus(transport, service="shop")
    found = watching(bus)
    broker = KafkaBroker(logger=None, middlewares=[MirrorToBus(bus)])
    async with TestKafkaBroker(broker), TestApp(FastStream(broker, lifespan=bus.lifespan)):
        transport.fail("send", times=2, when=lambda item: item.content.data == 2)
        await broker.publish_batch(1, 2, 3, topic="orders")
        await bus.drain(timeout=PATIENCE)
    assert [each.data for each in found] == [1, 3, 2]
    assert bus.stats().publish_failed == 2


async def test_what_the_bus_never_takes_is_neither_handled_nor_acknowledged(redis_url: str) -> None:
    name, transport = fresh("orders"), Flaky(MemoryTransport())
    bus, handled = Bus(transport, service="shop"), Seen()
    mirror = MirrorToBus(bus, topics={name: "order.placed"}, published=False, patience=0)
    broker = RedisBroker(redis_url, logger=None, middlewares=[mirror])

    @broker.subscriber(stream=stream(name, max_records=1))
    async def handle(order: int) -> None:
        handled.add(order)

    transport.fail("send", times=1)
    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish(1, stream=name)
        await broker.publish(2, stream=name)
        await eventually(lambda: handled.items)
    assert handled.items == [2], "the app goes on"
    assert await pending(redis_url, name) == 1


async def test_what_the_bus_never_takes_is_not_published_either() -> None:
    transport = Flaky(MemoryTransport())
    bus = Bus(transport, service="shop")
    mirror = MirrorToBus(bus, topics={"orders": "order.placed"}, patience=0)
    broker = RedisBroker(logger=None, middlewares=[mirror])
    handled = Seen()

    @broker.subscriber("orders")
    async def handle(order: int) -> None:
        handled.add(order)

    async with TestRedisBroker(broker), TestApp(FastStream(broker, lifespan=bus.lifespan)):
        transport.fail("send", times=1)
        with pytest.raises(PublishError):
            await broker.publish(1, "orders")
    assert handled.items == []


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        each.message
        for each in caplog.records
        if each.name == "busway.faststream" and each.levelno == logging.ERROR
    ]


BAD = {"id": "bad", "total": "much"}


LARGE = {"id": "large", "total": 1.0, "more": "x" * 10_000}


@pytest.mark.parametrize("bad", [BAD, LARGE], ids=["of no class", "too large"])
async def test_what_can_never_be_an_event_holds_up_no_partition_of_kafka(
    bad: dict[str, Any], kafka_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not fit its class, or is too large: it is said once, the app has it, and what lies
    behind it goes on."""
    servers = kafka_servers(kafka_url)
    bus = Bus("memory://?codec=json", service="shop", max_size=5_000)
    name, handled = await fresh_topic(servers, "orders"), Seen()
    found = watching(bus)
    mirror = MirrorToBus(bus, topics={name: "mirror.order"}, published=False)
    broker = KafkaBroker(servers, logger=None, middlewares=[mirror])

    @broker.subscriber(
        name,
        group_id=name,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
    )
    async def handle(order: dict[str, Any]) -> None:
        handled.add(order["id"])

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        for order in ({"id": "one", "total": 1.0}, bad, {"id": "two", "total": 2.0}):
            await broker.publish(order, name)
        await eventually(lambda: "two" in handled.items)
        await bus.drain(timeout=PATIENCE)
    assert handled.items == ["one", bad["id"], "two"]
    assert [each.id for each in found] == [f"{name}-0-0", f"{name}-0-2"]
    (said,) = refusals(caplog)
    assert f"{name}-0-1" in said
    assert "mirror.order" in said
    assert "total" in said or "over the limit" in said
    assert mirror.refused == 1


async def test_of_a_batch_all_that_can_be_events_are(
    kafka_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    servers = kafka_servers(kafka_url)
    bus = Bus("memory://?codec=json", service="shop", max_size=5_000)
    name, handled = await fresh_topic(servers, "orders"), Seen()
    found = watching(bus)
    mirror = MirrorToBus(bus, topics={name: "mirror.order"}, published=False)
    broker = KafkaBroker(servers, logger=None, middlewares=[mirror])

    @broker.subscriber(
        name,
        group_id=name,
        batch=True,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
    )
    async def handle(orders: list[dict[str, Any]]) -> None:
        for order in orders:
            handled.add(order["id"])

    good = [{"id": f"o-{number}", "total": float(number)} for number in range(3)]
    async with KafkaBroker(servers, logger=None) as stranger:
        await stranger.publish_batch(good[0], BAD, good[1], LARGE, good[2], topic=name)
    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await eventually(lambda: len(handled.items) == 5)
        await bus.drain(timeout=PATIENCE)
    assert handled.items == ["o-0", "bad", "o-1", "large", "o-2"]
    assert [each.id for each in found] == [f"{name}-0-{number}" for number in (0, 2, 4)]
    assert (mirror.refused, len(refusals(caplog))) == (2, 2)


async def test_what_can_never_be_an_event_is_not_published_and_raises(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus, handled = Bus("memory://?codec=json", service="shop", max_size=5_000), Seen()
    mirror = MirrorToBus(bus, topics={"orders": "mirror.order"})
    broker = RedisBroker(logger=None, middlewares=[mirror])

    @broker.subscriber("orders")
    async def handle(order: dict[str, Any]) -> None:
        handled.add(order)

    async with TestRedisBroker(broker), TestApp(FastStream(broker, lifespan=bus.lifespan)):
        with pytest.raises(InvalidEvent):
            await broker.publish(BAD, "orders")
        with pytest.raises(TooLarge):
            await broker.publish(LARGE, "orders")
    assert handled.items == []
    assert refusals(caplog) == [], "who publishes is told"
    assert mirror.refused == 0


async def test_a_record_of_kafka_is_committed_when_the_bus_has_it(kafka_url: str) -> None:
    """The bus does not take it at first: the record is read again, until it does."""
    servers, transport = kafka_servers(kafka_url), Flaky(MemoryTransport())
    name = await fresh_topic(servers, "orders")
    bus, handled = Bus(transport, service="shop"), Seen()
    found = watching(bus)
    mirror = MirrorToBus(bus, topics={name: "order.placed"}, published=False, patience=0)
    broker = KafkaBroker(servers, logger=None, middlewares=[mirror])

    @broker.subscriber(
        name,
        group_id=name,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
    )
    async def handle(order: int) -> None:
        handled.add(order)

    transport.fail("send", times=2)
    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish(1, name)
        await eventually(lambda: handled.items)
    assert handled.items == [1]
    assert [each.id for each in found] == [f"{name}-0-0"]


async def test_a_policy_that_acknowledges_first_is_said_once(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    name, bus, handled = fresh("orders"), Bus(service="shop"), Seen()
    mirror = MirrorToBus(bus, topics={name: "order.placed"}, published=False)
    broker = RedisBroker(redis_url, logger=None, middlewares=[mirror])

    @broker.subscriber(stream=stream(name), ack_policy=AckPolicy.ACK_FIRST)
    async def handle(order: int) -> None:
        handled.add(order)

    with caplog.at_level(logging.WARNING, "busway.faststream"):
        async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
            for number in range(3):
                await broker.publish(number, stream=name)
            await eventually(lambda: len(handled.items) == 3)
    said = [each.message for each in caplog.records if "acknowledged before" in each.message]
    assert len(said) == 1
    assert name in said[0]
    assert "AckPolicy.NACK_ON_ERROR" in said[0]


async def test_a_subscriber_of_kafka_that_commits_by_the_clock_is_said(
    kafka_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As it does by default."""
    servers = kafka_servers(kafka_url)
    name, bus, handled = await fresh_topic(servers, "orders"), Bus(service="shop"), Seen()
    mirror = MirrorToBus(bus, topics={name: "order.placed"}, published=False)
    broker = KafkaBroker(servers, logger=None, middlewares=[mirror])

    @broker.subscriber(name, group_id=name, auto_offset_reset="earliest")
    async def handle(order: int) -> None:
        handled.add(order)

    with caplog.at_level(logging.WARNING, "busway.faststream"):
        async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
            await broker.publish(1, name)
            await eventually(lambda: handled.items)
    assert [each for each in caplog.records if "acknowledged before" in each.message]


@pytest.mark.parametrize("kind", ["channel", "list"])
async def test_channels_and_lists_of_redis_are_mirrored_too(kind: str, redis_url: str) -> None:
    """They keep no place, so that each event has an id of its own."""
    name, bus, handled = fresh("orders"), Bus(service="shop"), Seen()
    found = watching(bus)
    mirror = MirrorToBus(bus, topics={name: "order.placed"}, published=False)
    broker = RedisBroker(redis_url, logger=None, middlewares=[mirror])

    @broker.subscriber(**{kind: name})
    async def handle(order: int) -> None:
        handled.add(order)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        for number in range(2):
            await broker.publish(number, **{kind: name}, correlation_id="c-1")
        await eventually(lambda: len(handled.items) == 2)
    assert [(each.data, each.correlation_id) for each in found] == [(0, "c-1"), (1, "c-1")]
    assert len({each.id for each in found}) == 2


async def test_requests_and_replies_are_no_events(redis_url: str) -> None:
    name, bus = fresh("price"), Bus(service="shop")
    found = watching(bus)
    mirror = MirrorToBus(bus, consumed=False)
    broker = RedisBroker(redis_url, logger=None, middlewares=[mirror])

    @broker.subscriber(name)
    async def price(order: int) -> int:
        return order * 2

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        reply = await broker.request(21, name, timeout=PATIENCE)
        assert await reply.decode() == 42
    assert found == []


async def test_an_event_that_was_delivered_twice_has_one_id(redis_url: str) -> None:
    """Its handler fails, and somebody claims it: for ``dedupe`` on the bus it is one event."""
    name, bus, handled = fresh("orders"), Bus(service="shop"), Seen()
    found = watching(bus)
    mirror = MirrorToBus(bus, topics={name: "order.placed"}, published=False)
    broker = RedisBroker(redis_url, logger=None, middlewares=[mirror])

    @broker.subscriber(stream=stream(name))
    async def handle(order: int) -> None:
        raise ZeroDivisionError

    @broker.subscriber(stream=stream(name, min_idle_time=1))
    async def claimed(order: int) -> None:
        handled.add(order)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish(1, stream=name)
        await eventually(lambda: handled.items)
    assert len(found) == 2
    assert len({each.id for each in found}) == 1


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bus": "redis://"}, "it takes a Bus"),
        ({"topics": "orders"}, "it takes a mapping"),
        ({"patience": -1}, "0 seconds or more"),
    ],
)
def test_a_wrong_option_is_a_clear_error(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        MirrorToBus(**{"bus": Bus(), **options})


async def test_the_callers_headers_are_left_as_they_are() -> None:
    """So each publish that has the same ones is mirrored, and not only the first."""
    name, bus = fresh("orders"), Bus(service="shop")
    found = watching(bus)
    broker = RedisBroker(logger=None, middlewares=[MirrorToBus(bus)])
    headers = {"who": "me"}
    out = broker.publisher(name)
    async with TestRedisBroker(broker), TestApp(FastStream(broker, lifespan=bus.lifespan)):
        for number in range(3):
            await broker.publish(number, name, headers=headers)
        await out.publish(3, headers=headers)
    assert [each.data for each in found] == [0, 1, 2, 3]
    assert headers == {"who": "me"}
