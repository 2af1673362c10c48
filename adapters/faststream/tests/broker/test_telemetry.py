"""FastStream's OpenTelemetry and Prometheus middlewares on a BusBroker."""

from __future__ import annotations

from typing import Any

import pytest

from busway import Batch
from busway_faststream import BusBroker, MessageDep
from tests.facts import Seen, letters, quick

from .started import broker_on, started

__all__: list[str] = []

pytestmark = pytest.mark.anyio


@pytest.fixture
def traced(url: str) -> tuple[BusBroker, Any]:
    """A broker with the middleware, and where its spans go."""
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from busway_faststream.opentelemetry import BusTelemetryMiddleware

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    middleware = BusTelemetryMiddleware(tracer_provider=provider)
    return broker_on(url, middlewares=[middleware]), exporter


async def test_one_trace_goes_from_a_publish_through_handlers_to_what_they_publish(
    traced: tuple[BusBroker, Any],
) -> None:
    broker, exporter = traced

    @broker.subscriber("order.placed")
    @broker.publisher("order.billed")
    async def bill(event: Any) -> str:
        return "billed"

    @broker.subscriber("order.billed")
    async def note(event: Any) -> None: ...

    async with started(broker):
        sent = await broker.publish({"a": 1}, "order.placed")
    spans = exporter.get_finished_spans()
    names = sorted(each.name for each in spans)
    assert names == [
        "order.billed process",
        "order.billed publish",
        "order.placed create",
        "order.placed process",
        "order.placed publish",
    ]
    assert len({each.context.trace_id for each in spans if each.context}) == 1
    assert sent.traceparent is not None
    (processed,) = [each for each in spans if each.name == "order.placed process"]
    attributes = dict(processed.attributes or {})
    assert attributes["messaging.system"] == "busway"
    assert attributes["messaging.message.id"] == sent.id


async def test_an_envelope_goes_in_the_trace_of_its_publish(
    traced: tuple[BusBroker, Any],
) -> None:
    """Whatever else the middlewares have put on it, and alone as in a batch."""
    broker, exporter = traced
    seen = Seen()

    @broker.subscriber("order.placed")
    async def handle(event: Any, message: MessageDep) -> None:
        seen.add((message.headers.get("tier"), message.raw_message.envelope.traceparent))

    async with started(broker):
        ready = broker.bus.envelope("order.placed", 1)
        marked = broker.bus.envelope("order.placed", 1, headers={"tier": "gold"})
        sent = [await broker.publish(ready), await broker.publish(marked)]
        batch = [broker.bus.envelope("order.placed", each) for each in range(2)]
        sent += await broker.publish_batch(*batch, topic="order.placed")
    spans = exporter.get_finished_spans()
    published = [each for each in spans if each.name == "order.placed publish"]
    traces = [format(each.context.trace_id, "032x") for each in published]
    assert len(set(traces)) == 3
    assert [each.id for each in sent] == [each.id for each in (ready, marked, *batch)]
    parents = [str(parent).split("-")[1] for _, parent in seen.items]
    assert parents == [traces[0], traces[1], traces[2], traces[2]]
    assert [tier for tier, _ in seen.items] == [None, "gold", None, None]


async def test_what_is_handled_and_published_is_counted(url: str) -> None:
    prometheus = pytest.importorskip("prometheus_client")
    from busway_faststream.prometheus import BusPrometheusMiddleware

    registry = prometheus.CollectorRegistry()
    broker = broker_on(url, middlewares=[BusPrometheusMiddleware(registry=registry)])

    @broker.subscriber("order.placed", group="billing", retry=quick(2))
    async def bill(event: Any) -> None:
        raise ConnectionError

    seen = Seen()

    @broker.subscriber("tree.*", batch=Batch(2, within=5))
    async def store(events: list[Any]) -> None:
        seen.add(events)

    async with started(broker):
        await broker.publish({"a": 1}, "order.placed")
        await letters(broker.bus, "billing", 1)
        await broker.publish_batch(1, 2, topic="tree.seen")
        await seen.count(1)

    def value(name: str, **labels: str) -> Any:
        labels = {"app_name": "faststream", "broker": "busway", **labels}
        return registry.get_sample_value(f"faststream_{name}", labels)

    assert value("received_messages_total", handler="order.placed") == 2
    assert value("received_messages_total", handler="tree.seen") == 2
    assert value("received_processed_messages_exceptions_total", handler="order.placed",
                 exception_type="ConnectionError") == 2  # fmt: skip
    assert value("published_messages_total", destination="order.placed", status="success") == 1
