"""``bridge``: both ways between a FastStream broker and a bus."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

import anyio
import msgspec
import pytest
from faststream import BaseMiddleware, FastStream, TestApp
from faststream.kafka import KafkaBroker
from faststream.redis import BinaryMessageFormatV1, RedisBroker, TestRedisBroker
from pydantic import BaseModel, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass

from busway import Bus, Envelope, GroupError, OptionError, Retry, event
from busway_faststream import MirrorToBus, bridge
from tests.facts import PATIENCE, Seen, noting, turns

from .helping import eventually, fresh, fresh_topic, kafka_servers, stream

pytestmark = pytest.mark.anyio

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Looking(BaseMiddleware[Any, Any]):
    """Keeps the messages that a broker consumes."""

    found: list[Any]

    async def consume_scope(self, call_next: Any, msg: Any) -> Any:
        self.found.append(msg)
        return await call_next(msg)


def looking() -> type[Looking]:
    return type("Looking", (Looking,), {"found": []})


@event("bridge.order", key="id")
class Order(msgspec.Struct, frozen=True):
    id: str
    data: str


ORDER = Order("o-1", "a text, which FastStream's parser has a trap for")


async def entries(redis_url: str, name: str) -> list[dict[bytes, bytes]]:
    async with RedisBroker(redis_url, logger=None) as broker:
        client = await broker.connect()
        return [fields for _, fields in await client.xrange(name)]


@pytest.mark.parametrize("url", ["memory://", "memory://?codec=json", "redis"])
async def test_an_event_arrives_in_faststream_as_its_own_message(url: str, redis_url: str) -> None:
    name, look = fresh("out"), looking()
    bus = Bus(f"{redis_url}?prefix={name}-bus" if url == "redis" else url, service="shop")
    broker = RedisBroker(redis_url, logger=None, middlewares=[look])
    bridge(broker, bus, from_bus={"bridge.*": broker.publisher(stream=name)})
    handled: list[dict[str, str]] = []

    @broker.subscriber(stream=stream(name))
    async def handle(order: dict[str, str]) -> None:
        handled.append(order)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        made = bus.envelope(
            ORDER, headers={"who": "me", "wo": "Zürich, 東京"}, correlation_id="c-1"
        )
        made = msgspec.structs.replace(made, given_id=made.id, traceparent=TRACEPARENT)
        sent = await bus.publish(made)
        await eventually(lambda: handled)
        await bus.drain()
    assert handled == [{"id": "o-1", "data": ORDER.data}]
    (message,) = look.found
    assert message.correlation_id == "c-1"
    assert message.content_type == "application/json"
    assert message.headers["who"] == "me"
    assert message.headers["wo"] == "Zürich, 東京", "its format counts characters, not bytes"
    assert message.headers["traceparent"] == TRACEPARENT
    assert (message.headers["ce_id"], message.headers["ce_type"]) == (sent.id, "bridge.order")
    (entry,) = await entries(redis_url, name)
    body, _ = BinaryMessageFormatV1.parse(entry[b"__data__"])
    assert json.loads(body) == {"id": "o-1", "data": ORDER.data}


async def test_an_event_arrives_in_kafka_as_faststreams_message_and_as_a_cloud_event(
    kafka_url: str,
) -> None:
    look, bus, servers = looking(), Bus(service="shop"), kafka_servers(kafka_url)
    name = await fresh_topic(servers, "out")
    broker = KafkaBroker(servers, logger=None, middlewares=[look], acks="all")
    bridge(broker, bus, from_bus={"bridge.*": broker.publisher(name)})
    handled: list[dict[str, str]] = []

    @broker.subscriber(name, group_id=name, auto_offset_reset="earliest")
    async def handle(order: dict[str, str]) -> None:
        handled.append(order)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        sent = await bus.publish(ORDER, headers={"wo": "Zürich"}, correlation_id="c-1")
        await eventually(lambda: handled)
    assert handled == [{"id": "o-1", "data": ORDER.data}]
    (message,) = look.found
    assert (message.correlation_id, message.content_type) == ("c-1", "application/json")
    assert message.headers["wo"] == "Zürich"
    assert message.raw_message.key == b"o-1"
    # A bus that reads that topic knows it again.
    other = Bus(f"kafka://{servers}?prefix=", service="other", channels={"bridge.*": name})
    found: list[Envelope] = []

    @other.subscribe("bridge.*", group=fresh("reader"), start="earliest")
    async def read(envelope: Envelope) -> None:
        found.append(envelope)

    async with other:
        await eventually(lambda: found)
    assert (found[0].id, found[0].key, found[0].type) == (sent.id, "o-1", "bridge.order")


async def test_what_is_not_ascii_arrives_in_faststream_whole(redis_url: str) -> None:
    """A correlation id or the name of a header: its format for Redis counts characters."""
    name, look, bus = fresh("out"), looking(), Bus(service="shop")
    broker = RedisBroker(redis_url, logger=None, middlewares=[look])
    bridge(broker, bus, from_bus={"bridge.*": broker.publisher(stream=name)})
    handled: list[Any] = []

    @broker.subscriber(stream=stream(name))
    async def handle(order: Any) -> None:
        handled.append(order)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await bus.publish(ORDER, headers={"größe": "größer"}, correlation_id="Bestellung-Zürich")
        await eventually(lambda: handled)
        await bus.drain()
    assert handled == [{"id": "o-1", "data": ORDER.data}]
    (message,) = look.found
    assert message.correlation_id == "Bestellung-Zürich"
    assert message.headers["größe"] == "größer"


class Line(BaseModel):
    item_id: str = Field(alias="itemId")


@event("bridge.model")
class Aliased(BaseModel):
    order_id: str = Field(alias="orderId")
    lines: list[Line] = []


@event("bridge.dataclass")
@pydantic_dataclass
class AliasedDataclass:
    order_id: str = Field(alias="orderId")


@pytest.mark.parametrize("url", ["memory://", "memory://?codec=json", "memory://?codec=msgpack"])
async def test_a_model_with_aliases_is_sent_by_them_whatever_the_bus_is(url: str) -> None:
    out, bus, handled = fresh("out"), Bus(url, service="shop"), Seen()
    broker = RedisBroker(logger=None)
    bridge(broker, bus, from_bus={"bridge.*": broker.publisher(out)})

    @broker.subscriber(out)
    async def handle(order: dict[str, Any] | list[Any]) -> None:
        handled.add(order)

    async with TestRedisBroker(broker), TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await bus.publish(Aliased(orderId="o-1", lines=[Line(itemId="i-1")]))
        await bus.publish(AliasedDataclass(orderId="o-2"))
        await bus.publish("bridge.many", [Line(itemId="i-2")])
        await bus.drain(timeout=PATIENCE)
    assert sorted(handled.items, key=str) == [
        [{"itemId": "i-2"}],
        {"orderId": "o-1", "lines": [{"itemId": "i-1"}]},
        {"orderId": "o-2"},
    ]


@pytest.mark.parametrize("url", ["memory://", "memory://?codec=json", "memory://?codec=msgpack"])
async def test_bytes_go_to_the_bus_and_back_as_they_are(url: str, redis_url: str) -> None:
    into, out, bus = fresh("in"), fresh("out"), Bus(url, service="shop")
    broker = RedisBroker(redis_url, logger=None)
    back = {"image.taken": broker.publisher(stream=out)}
    bridge(broker, bus, to_bus={into: "image.taken"}, from_bus=back)
    got: list[bytes] = []

    @broker.subscriber(stream=stream(into))
    async def taken(image: bytes) -> None: ...

    @broker.subscriber(stream=stream(out))
    async def arrived(image: bytes) -> None:
        got.append(image)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish(b"\x89PNG\x00", stream=into)
        await eventually(lambda: got)
    assert got == [b"\x89PNG\x00"]


async def test_what_can_never_be_sent_becomes_a_dead_letter(redis_url: str) -> None:
    bus, out = Bus(service="shop"), fresh("out")
    broker = RedisBroker(redis_url, logger=None)
    bridge(broker, bus, from_bus={"order.*": broker.publisher(stream=out)})
    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await bus.publish("order.paid", object())
        await bus.publish("order.paid", 1)
        await bus.drain(timeout=PATIENCE)
        (letter,) = await bus.dead_letters("shop.faststream").list()
    assert "object cannot be encoded as json" in letter.reason
    assert len(await entries(redis_url, out)) == 1, "the next one is sent"


async def test_what_is_too_large_for_kafka_becomes_a_dead_letter_and_its_key_goes_on(
    kafka_url: str,
) -> None:
    servers, bus, handled = kafka_servers(kafka_url), Bus(service="shop"), Seen()
    out = await fresh_topic(servers, "out")
    broker = KafkaBroker(servers, logger=None, acks="all", max_request_size=10_000)
    bridge(broker, bus, from_bus={"order.*": broker.publisher(out)})

    @broker.subscriber(out, group_id=out, auto_offset_reset="earliest")
    async def handle(order: int | str) -> None:
        handled.add(order)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await bus.publish("order.paid", "x" * 20_000, key="customer-1")
        await bus.publish("order.paid", 2, key="customer-1")
        await eventually(lambda: handled.items)
        await bus.drain(timeout=PATIENCE)
        (letter,) = await bus.dead_letters("shop.faststream").list()
    assert handled.items == [2]
    assert (letter.kind, letter.attempts) == ("TooLarge", 1)
    assert "order.paid: the broker never takes this" in letter.reason
    assert "max_request_size" in letter.reason


async def test_both_sides_have_what_the_other_one_has(redis_url: str) -> None:
    """Many events each way, at once, and each arrives once."""
    into, out, bus = fresh("in"), fresh("out"), Bus(service="shop")
    broker = RedisBroker(redis_url, logger=None)
    joined = bridge(
        broker,
        bus,
        to_bus={into: "order.placed"},
        from_bus={"order.paid": broker.publisher(stream=out)},
    )
    placed, paid = Seen(), Seen()
    bus.add(noting(placed), "order.placed")

    @broker.subscriber(stream=stream(into))
    async def consumed(order: int) -> None: ...

    @broker.subscriber(stream=stream(out))
    async def arrived(order: int) -> None:
        paid.add(order)

    # Somebody who knows nothing of the bus.
    stranger = RedisBroker(redis_url, logger=None)
    async with stranger, TestApp(FastStream(broker, lifespan=bus.lifespan)):
        for number in range(100):
            await stranger.publish(number, stream=into)
            await bus.publish("order.paid", number)
        await eventually(lambda: len(placed.items) == len(paid.items) == 100)
        await bus.drain()
    assert sorted(placed.items) == sorted(paid.items) == list(range(100))
    assert joined.echoes == 0


async def test_events_of_one_key_arrive_in_order_while_the_broker_fails(redis_url: str) -> None:
    out, bus = fresh("out"), Bus(service="shop")
    failures = iter([True, False] * 5)

    class Failing(BaseMiddleware[Any, Any]):
        async def publish_scope(self, call_next: Any, cmd: Any) -> Any:
            if next(failures, False):
                raise ConnectionError("Redis is away")
            return await call_next(cmd)

    broker = RedisBroker(redis_url, logger=None)
    quick = Retry(attempts=100, backoff=bridge_backoff(), in_place=0)
    bridge(broker, bus, from_bus={"order.*": broker.publisher(stream=out)}, retry=quick)
    broker.add_middleware(Failing)
    got: list[list[int]] = []

    @broker.subscriber(stream=stream(out))
    async def arrived(order: list[int]) -> None:
        got.append(order)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        for number in range(10):
            for key in range(3):
                await bus.publish("order.paid", [key, number], key=str(key))
        await eventually(lambda: len(got) >= 30)
    for key in range(3):
        assert [number for each, number in got if each == key] == list(range(10))


def bridge_backoff() -> Any:
    return msgspec.structs.replace(Retry().backoff, first=0.005, cap=0.005)


async def test_an_event_is_acknowledged_on_the_bus_when_the_broker_has_it(redis_url: str) -> None:
    out = fresh("out")
    url = f"{redis_url}?prefix={out}-bus"
    held, entered = anyio.Event(), anyio.Event()

    class Holding(BaseMiddleware[Any, Any]):
        async def publish_scope(self, call_next: Any, cmd: Any) -> Any:
            entered.set()
            await held.wait()
            return await call_next(cmd)

    bus, broker = Bus(url, service="shop"), RedisBroker(redis_url, logger=None)
    bridge(broker, bus, from_bus={"order.*": broker.publisher(stream=out)})
    broker.add_middleware(Holding)
    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await bus.publish("order.paid", 1)
        await entered.wait()
        assert await unacknowledged(redis_url, f"{out}-bus") == 1
        held.set()
        await bus.drain()
        assert await unacknowledged(redis_url, f"{out}-bus") == 0
    assert len(await entries(redis_url, out)) == 1


async def unacknowledged(redis_url: str, prefix: str) -> int:
    """By the bridge's group, of the channel ``order``."""
    async with RedisBroker(redis_url, logger=None) as broker:
        client = await broker.connect()
        pending = await client.xpending(f"{prefix}:{{order}}", "shop.faststream")
        return int(pending["pending"])


async def test_what_the_broker_does_not_have_by_the_end_the_next_app_sends(redis_url: str) -> None:
    out = fresh("out")
    url = f"{redis_url}?prefix={out}-bus"

    class Away(BaseMiddleware[Any, Any]):
        async def publish_scope(self, call_next: Any, cmd: Any) -> Any:
            raise ConnectionError("Redis is away")

    def app(*middlewares: Any) -> tuple[Bus, FastStream]:
        bus, broker = Bus(url, service="shop"), RedisBroker(redis_url, logger=None)
        bridge(broker, bus, from_bus={"order.*": broker.publisher(stream=out)})
        for each in middlewares:
            broker.add_middleware(each)
        return bus, FastStream(broker, lifespan=bus.lifespan)

    with anyio.fail_after(PATIENCE):
        bus, first = app(Away)
        async with TestApp(first):
            for number in range(10):
                await bus.publish("order.paid", number, key=str(number))
            await eventually(lambda: bus.stats().retried)
        assert await entries(redis_url, out) == []
        bus, second = app()

        @second.on_startup
        async def wait_for_an_event_that_comes_too_early() -> None:
            await eventually(lambda: bus.stats().groups[0].in_flight)
            await turns()

        async with TestApp(second):
            await bus.drain()
        assert bus.stats().failed == 0, "what waits while the app starts has not failed"
    assert len(await entries(redis_url, out)) == 10


async def test_a_bridge_works_under_a_test_broker() -> None:
    bus, placed, paid = Bus(service="shop"), Seen(), Seen()
    broker = RedisBroker(logger=None)
    publisher = broker.publisher("payments")
    bridge(broker, bus, to_bus={"orders": "order.placed"}, from_bus={"order.paid": publisher})
    bus.add(noting(placed), "order.placed")

    @broker.subscriber("orders")
    async def consumed(order: int) -> None: ...

    @broker.subscriber("payments")
    async def arrived(order: int) -> None:
        paid.add(order)

    async with TestRedisBroker(broker), TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish(1, "orders")
        await bus.publish("order.paid", 2)
        await bus.drain(timeout=PATIENCE)
    assert (placed.items, paid.items) == ([1], [2])


# --- loops ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bridges", [1, 2])
async def test_what_came_from_the_bus_is_not_sent_to_it_again(
    bridges: int, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The stream that events go to is one that goes to the bus."""
    name, bus, seen, handled = fresh("orders"), Bus(service="shop"), Seen(), Seen()
    broker = RedisBroker(redis_url, logger=None)
    back = {"order.placed": broker.publisher(stream=name)}
    if bridges == 1:
        joined = bridge(broker, bus, to_bus={name: "order.placed"}, from_bus=back)
    else:
        joined = bridge(broker, bus, to_bus={name: "order.placed"})
        bridge(broker, bus, from_bus=back, group="back")
    bus.add(noting(seen), "order.*")

    @broker.subscriber(stream=stream(name))
    async def consumed(order: int) -> None:
        handled.add(order)

    with caplog.at_level(logging.INFO, "busway.faststream"):
        async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
            await bus.publish("order.placed", 1)
            await eventually(lambda: handled.items)
            await bus.drain()
    assert (seen.items, handled.items) == ([1], [1])
    assert joined.echoes == 1
    assert [each for each in caplog.records if "has been on the bus before" in each.message]


async def test_an_event_is_not_sent_where_it_came_from(redis_url: str) -> None:
    name, bus, seen, handled = fresh("orders"), Bus(service="shop"), Seen(), Seen()
    broker = RedisBroker(redis_url, logger=None)
    joined = bridge(
        broker,
        bus,
        to_bus={name: "order.placed"},
        from_bus={"order.placed": broker.publisher(stream=name)},
    )
    bus.add(noting(seen), "order.*")

    @broker.subscriber(stream=stream(name))
    async def consumed(order: int) -> None:
        handled.add(order)

    stranger = RedisBroker(redis_url, logger=None)
    async with stranger, TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await stranger.publish(1, stream=name)
        await eventually(lambda: seen.items)
        await bus.drain()
        await eventually(lambda: joined.echoes == 1)
    assert (seen.items, handled.items) == ([1], [1])
    assert len(await entries(redis_url, name)) == 1


async def test_a_loop_over_two_buses_ends(redis_url: str) -> None:
    """From one bus to FastStream, from there to another bus, and back."""
    there, back = fresh("there"), fresh("back")
    one, two = Bus(service="one"), Bus(service="two")
    seen_one, seen_two = Seen(), Seen()
    one.add(noting(seen_one), "order.*")
    two.add(noting(seen_two), "order.*")
    broker_one = RedisBroker(redis_url, logger=None)
    broker_two = RedisBroker(redis_url, logger=None)
    first = bridge(
        broker_one,
        one,
        to_bus={back: "order.placed"},
        from_bus={"order.*": broker_one.publisher(stream=there)},
    )
    bridge(
        broker_two,
        two,
        to_bus={there: "order.placed"},
        from_bus={"order.*": broker_two.publisher(stream=back)},
    )

    @broker_one.subscriber(stream=stream(back))
    async def to_one(order: int) -> None: ...

    @broker_two.subscriber(stream=stream(there))
    async def to_two(order: int) -> None: ...

    async with (
        TestApp(FastStream(broker_one, lifespan=one.lifespan)),
        TestApp(FastStream(broker_two, lifespan=two.lifespan)),
    ):
        await one.publish("order.placed", 1)
        await eventually(lambda: first.echoes)
        await one.drain()
        await two.drain()
    assert (seen_one.items, seen_two.items) == ([1], [1])


async def test_what_a_bridge_sends_again_is_the_same_event_on_a_bus_that_mirrors_its_broker() -> (
    None
):
    """The second bus has it, the broker does not take it, and the bridge tries again."""
    one, two = Bus(service="one"), Bus(service="two")
    found: list[str] = []
    handled = Seen()

    async def note(envelope: Envelope) -> None:
        found.append(envelope.id)

    two.add(note, "**", group="noting")
    failing = [ConnectionError("no"), ConnectionError("no")]

    class Failing(BaseMiddleware[Any, Any]):
        async def publish_scope(self, call_next: Any, cmd: Any) -> Any:
            if failing:
                raise failing.pop()
            return await call_next(cmd)

    mirror = MirrorToBus(two, consumed=False)
    broker = RedisBroker(logger=None, middlewares=[mirror, Failing])
    bridge(broker, one, from_bus={"bridge.*": broker.publisher("out")})

    @broker.subscriber("out")
    async def handle(order: Any) -> None:
        handled.add(order)

    async with (
        TestRedisBroker(broker),
        two,
        TestApp(FastStream(broker, lifespan=one.lifespan)),
    ):
        sent = await one.publish(ORDER)
        await eventually(lambda: handled.items)
    assert found == [sent.id] * 3


async def test_an_event_that_comes_back_from_elsewhere_is_the_same_event(redis_url: str) -> None:
    """By FastStream from one bus to another, whatever an event says of itself."""
    name = fresh("there")
    one, two = Bus(service="one"), Bus(service="two")
    found: list[Envelope] = []

    async def note(envelope: Envelope) -> None:
        found.append(envelope)

    two.add(note, "**", group="noting")
    broker_one = RedisBroker(redis_url, logger=None)
    broker_two = RedisBroker(redis_url, logger=None)
    bridge(broker_one, one, from_bus={"**": broker_one.publisher(stream=name)})
    bridge(broker_two, two, to_bus=True)

    @broker_two.subscriber(stream=stream(name))
    async def to_two(order: dict[str, str]) -> None: ...

    async with (
        TestApp(FastStream(broker_one, lifespan=one.lifespan)),
        TestApp(FastStream(broker_two, lifespan=two.lifespan)),
    ):
        made = one.envelope(
            ORDER,
            time=datetime(2020, 1, 2, 3, 4, 5, 678901, UTC),
            tenant="acme",
            user="u-1",
            causation_id="why",
            idempotency_key="once",
            aggregate=("order", "o-1"),
            resource=("desk", "d-1"),
            headers={"who": "me"},
        )
        made = msgspec.structs.replace(made, given_id=made.id, schema_version=3)
        sent = await one.publish(msgspec.structs.replace(made, traceparent=TRACEPARENT))
        await eventually(lambda: found)
    (got,) = found
    others = {"data", "content_type", "headers", "given_correlation_id", "timestamp"}
    for name in {*Envelope.__struct_fields__, "time", "correlation_id", "duplicate_key"} - others:
        assert getattr(got, name) == getattr(sent, name), name
    assert got.headers["who"] == "me"
    assert got.data == {"id": "o-1", "data": ORDER.data}


# --- bad input --------------------------------------------------------------------------------


async def test_an_app_without_a_broker_has_nothing_to_join() -> None:
    bus = Bus()
    with pytest.raises(OptionError, match=r"an app without a broker has none to be joined"):
        bridge(FastStream().broker, bus, to_bus=True)  # type: ignore[arg-type]


async def test_a_bridge_that_carries_nothing_is_a_clear_error() -> None:
    with pytest.raises(OptionError, match="say what it carries"):
        bridge(RedisBroker(logger=None), Bus())


async def test_what_is_no_publisher_is_a_clear_error() -> None:
    with pytest.raises(OptionError, match=r"it takes broker\.publisher"):
        bridge(RedisBroker(logger=None), Bus(), from_bus={"order.*": "orders"})  # type: ignore[dict-item]


async def test_a_group_that_somebody_else_has_is_a_clear_error() -> None:
    bus, broker = Bus(service="shop"), RedisBroker(logger=None)

    @bus.subscribe("order.*", group="shop.faststream", concurrency=3)
    async def other(order: int) -> None: ...

    with pytest.raises(GroupError):
        bridge(broker, bus, from_bus={"order.*": broker.publisher("out")})
