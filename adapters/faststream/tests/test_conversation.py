"""Correlation and trace context, across the border in both directions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from faststream import BaseMiddleware, FastStream, TestApp
from faststream.kafka import KafkaBroker
from faststream.redis import RedisBroker, TestRedisBroker
from faststream.redis.annotations import RedisMessage
from faststream.redis.opentelemetry import RedisTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from busway import Bus, Envelope
from busway.middleware import cause, caused_by
from busway_faststream import BusDep, BusMiddleware, correlation_id

from .helping import eventually, fresh, fresh_topic, kafka_servers, stream

pytestmark = pytest.mark.anyio

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = {"traceparent": TRACEPARENT, "tracestate": "vendor=1"}


async def test_what_a_handler_publishes_on_the_bus_belongs_to_its_message(redis_url: str) -> None:
    bus, broker, name = Bus(), RedisBroker(redis_url, logger=None), fresh("orders")
    sent: list[Envelope] = []

    @broker.subscriber(stream=stream(name))
    async def handle(order: int, bus: BusDep) -> None:
        sent.append(await bus.publish("order.placed", order))

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish(1, stream=name, correlation_id="c-1", headers=TRACE)
        await eventually(lambda: sent)
    assert sent[0].correlation_id == "c-1"
    assert (sent[0].traceparent, sent[0].tracestate) == (TRACEPARENT, "vendor=1")
    assert sent[0].causation_id is not None
    assert sent[0].causation_id.startswith(f"{name}-"), "where its message lies"


async def test_what_a_handler_of_kafka_publishes_on_the_bus_belongs_to_its_message(
    kafka_url: str,
) -> None:
    bus, servers = Bus(), kafka_servers(kafka_url)
    name = await fresh_topic(servers, "orders")
    broker = KafkaBroker(servers, logger=None)
    sent: list[Envelope] = []

    @broker.subscriber(name, group_id=name, auto_offset_reset="earliest")
    async def handle(order: int, bus: BusDep) -> None:
        sent.append(await bus.publish("order.placed", order))

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish(1, name, correlation_id="c-1", headers=TRACE)
        await eventually(lambda: sent)
    assert (sent[0].correlation_id, sent[0].causation_id) == ("c-1", f"{name}-0-0")
    assert sent[0].traceparent == TRACEPARENT


async def test_tenant_and_user_of_an_event_that_came_as_a_message_are_handed_on() -> None:
    bus, broker = Bus(), RedisBroker(logger=None)
    sent: list[Envelope] = []

    @broker.subscriber("orders")
    async def handle(order: int, bus: BusDep) -> None:
        sent.append(await bus.publish("order.placed", order))

    async with TestRedisBroker(broker), TestApp(FastStream(broker, lifespan=bus.lifespan)):
        headers = {"ce_id": "e-1", "ce_tenant": "acme", "ce_userid": "u-1"}
        await broker.publish(1, "orders", headers=headers)
    (one,) = sent
    assert (one.tenant, one.user, one.causation_id) == ("acme", "u-1", "e-1")


@pytest.mark.parametrize("plain", [True, False], ids=["in a thread", "async"])
async def test_it_belongs_to_it_whatever_the_handler_is(plain: bool, redis_url: str) -> None:
    bus, broker, name = Bus(), RedisBroker(redis_url, logger=None), fresh("orders")
    sent: list[Envelope] = []

    def in_a_thread(order: int) -> None:
        sent.append(bus.from_thread.publish("order.placed", order))

    async def on_the_loop(order: int) -> None:
        sent.append(await bus.publish("order.placed", order))

    broker.subscriber(stream=stream(name))(in_a_thread if plain else on_the_loop)
    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish(1, stream=name, correlation_id="c-1")
        await eventually(lambda: sent)
    assert sent[0].correlation_id == "c-1"


async def test_what_a_handler_of_the_bus_publishes_by_the_broker_belongs_to_its_event(
    redis_url: str,
) -> None:
    name = fresh("out")
    bus = Bus()
    broker = RedisBroker(redis_url, logger=None, id_generator=correlation_id)
    got: list[tuple[str, dict[str, Any]]] = []

    class Looking(BaseMiddleware[Any, Any]):
        async def consume_scope(self, call_next: Any, msg: Any) -> Any:
            got.append((msg.correlation_id, msg.headers))
            return await call_next(msg)

    broker.add_middleware(Looking)

    @broker.subscriber(stream=stream(name))
    async def arrived(order: int) -> None: ...

    @bus.subscribe("order.placed")
    async def answer(order: int) -> None:
        await broker.publish(order, stream=name)
        await broker.publish(order, stream=name, correlation_id="its own")

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        event = bus.envelope("order.placed", 1, correlation_id="c-1")
        await bus.publish(msgspec.structs.replace(event, **TRACE))
        await eventually(lambda: len(got) == 2)
    assert [correlation for correlation, _ in got] == ["c-1", "its own"]
    for _, headers in got:
        assert (headers["traceparent"], headers["tracestate"]) == (TRACEPARENT, "vendor=1")


async def test_a_trace_context_that_is_given_is_not_replaced() -> None:
    broker = RedisBroker(logger=None, middlewares=[BusMiddleware])
    got: list[str] = []

    class Looking(BaseMiddleware[Any, Any]):
        async def consume_scope(self, call_next: Any, msg: Any) -> Any:
            got.append(msg.headers["traceparent"])
            return await call_next(msg)

    broker.add_middleware(Looking)

    @broker.subscriber("orders")
    async def handle(order: int) -> None: ...

    async with TestRedisBroker(broker):
        with caused_by(Envelope("a.b", traceparent=TRACEPARENT)):
            await broker.publish(1, "orders", headers={"traceparent": "00-own-01"})
    assert got == ["00-own-01"]


def test_outside_of_handlers_each_message_has_a_correlation_id_of_its_own() -> None:
    assert correlation_id() != correlation_id()
    with caused_by(Envelope("a.b", given_correlation_id="c-1")):
        assert correlation_id() == correlation_id() == "c-1"


async def test_a_whole_conversation_has_one_correlation_id(redis_url: str) -> None:
    """Into FastStream, over to the bus, back by the broker, and over to the bus again."""
    first, second = fresh("first"), fresh("second")
    bus = Bus()
    broker = RedisBroker(redis_url, logger=None, id_generator=correlation_id)
    ids: list[str | None] = []

    @broker.subscriber(stream=stream(first))
    async def one(order: int, bus: BusDep) -> None:
        await bus.publish("order.placed", order)

    @bus.subscribe("order.placed")
    async def two(order: int) -> None:
        await broker.publish(order, stream=second)

    @broker.subscriber(stream=stream(second))
    async def three(order: int, bus: BusDep) -> None:
        await bus.publish("order.done", order)

    @bus.subscribe("order.done")
    async def four(order: int) -> None:
        known = cause()
        ids.append(known and known.correlation_id)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish(1, stream=first, correlation_id="c-1")
        await eventually(lambda: ids)
    assert ids == ["c-1"]


async def test_the_spans_of_faststreams_telemetry_belong_to_the_trace_of_the_event(
    redis_url: str,
) -> None:
    """Both ways: a message makes an event, and that makes a message."""
    first, second = fresh("first"), fresh("second")
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    bus = Bus()
    telemetry = RedisTelemetryMiddleware(tracer_provider=provider)
    broker = RedisBroker(redis_url, logger=None, middlewares=[telemetry])
    done: list[int] = []

    @broker.subscriber(stream=stream(first))
    async def one(order: int, bus: BusDep) -> None:
        await bus.publish("order.placed", order)

    @bus.subscribe("order.placed")
    async def two(order: int) -> None:
        await broker.publish(order, stream=second)

    @broker.subscriber(stream=stream(second))
    async def three(order: int) -> None:
        done.append(order)

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish(1, stream=first)
        await eventually(lambda: done)
    ended = spans.get_finished_spans()
    assert {span.name for span in ended} >= {f"{first} process", f"{second} process"}
    assert len({span.context.trace_id for span in ended if span.context}) == 1


async def test_the_trace_of_one_event_does_not_stay_in_the_callers_headers() -> None:
    broker, headers = RedisBroker(logger=None, middlewares=[BusMiddleware]), {"who": "me"}
    arrived: list[Any] = []

    @broker.subscriber("orders")
    async def handle(order: int, message: RedisMessage) -> None:
        arrived.append(message.headers.get("traceparent"))

    async with TestRedisBroker(broker):
        with caused_by(Envelope("first", traceparent=TRACEPARENT)):
            await broker.publish(1, "orders", headers=headers)
        await broker.publish(2, "orders", headers=headers)
    assert arrived == [TRACEPARENT, None]
    assert headers == {"who": "me"}
