"""Publishing: by the broker, by publishers, as a handler's result, as a request."""

from __future__ import annotations

from typing import Any

import pytest
from faststream import Response

from busway import Batch, Envelope, RequestFailed, RequestTimeout
from busway_faststream import BusMessage, BusResponse, MessageDep
from tests.facts import Seen, quick

from .started import Model, Placed, Struct, broker_on, started

__all__: list[str] = []

pytestmark = pytest.mark.anyio


async def test_publish_returns_the_envelope_with_what_was_given(url: str) -> None:
    broker = broker_on(url)
    async with started(broker):
        envelope = await broker.publish(
            {"a": 1}, "order.placed",
            key="o-1", headers={"tier": "gold"}, correlation_id="c-1", tenant="t", id="e-1",
        )  # fmt: skip
        named = await broker.publish(Placed("o-2"))
    assert isinstance(envelope, Envelope)
    assert (envelope.id, envelope.key, envelope.correlation_id) == ("e-1", "o-1", "c-1")
    assert (envelope.headers, envelope.tenant, envelope.source) == ({"tier": "gold"}, "t", "shop")
    assert (named.topic, named.key) == ("cart.placed", "o-2")


async def test_an_envelope_is_published_as_it_is(url: str) -> None:
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber("order.*")
    async def handle(event: Any, message: MessageDep) -> None:
        seen.add(message.message_id)

    async with started(broker):
        envelope = broker.bus.envelope("order.placed", 1)
        await broker.publish(envelope)
    assert seen.items == [envelope.id]


async def test_a_handlers_result_is_published_as_a_child(url: str) -> None:
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber("order.placed")
    @broker.publisher("order.billed")
    @broker.publisher("order.noted", key="n")
    async def bill(event: dict[str, Any], message: MessageDep) -> Model:
        seen.add(message.message_id)
        return Model(name="oak")

    @broker.subscriber("order.{billed,noted}")
    async def note(event: dict[str, Any], message: MessageDep) -> None:
        raw = message.raw_message
        seen.add((raw.topic, raw.key, event, raw.envelope.causation_id, message.correlation_id))

    async with started(broker):
        await broker.publish({"a": 1}, "order.placed", correlation_id="c-1")
    cause, *children = seen.items
    body = {"name": "oak", "size": 0}
    assert sorted(children) == [
        ("order.billed", None, body, cause, "c-1"),
        ("order.noted", "n", body, cause, "c-1"),
    ]


async def test_what_a_handler_publishes_by_hand_is_a_child_too(url: str) -> None:
    seen, broker = Seen(), broker_on(url)
    billed = broker.publisher("order.billed")

    @broker.subscriber("order.placed")
    async def bill(event: Any, message: MessageDep) -> None:
        for envelope in (await broker.publish(2, "order.noted"), await billed.publish(3)):
            seen.add((envelope.causation_id == message.message_id, envelope.correlation_id))

    async with started(broker):
        await broker.publish(1, "order.placed", correlation_id="c-1")
    assert seen.items == [(True, "c-1"), (True, "c-1")]


async def test_a_result_can_say_more_than_its_body(url: str) -> None:
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber("order.placed")
    @broker.publisher("order.billed", headers={"from": "billing"})
    async def bill(event: Any) -> Any:
        return BusResponse(Struct("oak"), key="o-1", headers={"tier": "gold"})

    @broker.subscriber("order.paid")
    @broker.publisher("order.billed")
    async def pay(event: Any) -> Any:
        return Response(Struct("elm"), headers={"tier": "tin"}, correlation_id="c-2")

    @broker.subscriber("order.billed")
    async def note(event: Struct, message: MessageDep) -> None:
        seen.add((event.name, message.raw_message.key, message.headers))

    async with started(broker):
        await broker.publish(1, "order.placed")
        await broker.publish(1, "order.paid")
    assert seen.items == [
        ("oak", "o-1", {"from": "billing", "tier": "gold"}),
        ("elm", None, {"tier": "tin"}),
    ]


async def test_a_failed_attempt_publishes_nothing() -> None:
    seen, broker = Seen(), broker_on()

    @broker.subscriber("order.placed", retry=quick(2))
    @broker.publisher("order.billed")
    async def bill(event: Any, message: MessageDep) -> Any:
        if message.raw_message.attempt == 1:
            raise ConnectionError
        return "billed"

    @broker.subscriber("order.billed")
    async def note(event: str) -> None:
        seen.add(event)

    async with started(broker):
        await broker.publish(1, "order.placed")
    assert seen.items == ["billed"]


async def test_a_result_goes_to_the_topic_that_the_event_names(url: str) -> None:
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber("order.placed")
    async def bill(event: Any) -> str:
        return "billed"

    @broker.subscriber("order.paid", no_reply=True)
    async def silent(event: Any) -> str:
        return "silent"

    @broker.subscriber("answers")
    async def note(event: str) -> None:
        seen.add(event)

    async with started(broker):
        await broker.publish(1, "order.placed", reply_to="answers")
        await broker.publish(1, "order.paid", reply_to="answers")
    assert seen.items == ["billed"]


async def test_a_request_is_answered_by_what_the_handler_returns(url: str) -> None:
    broker = broker_on(url)

    @broker.subscriber("price.asked")
    async def price(event: dict[str, Any]) -> Model:
        return Model(name=event["name"], size=3)

    asking = broker.publisher("price.asked")
    async with started(broker):
        reply = await broker.request({"name": "oak"}, "price.asked", correlation_id="c-1")
        assert isinstance(reply, BusMessage)
        assert await reply.decode() == {"name": "oak", "size": 3}
        assert reply.correlation_id == "c-1"
        reply = await asking.request({"name": "elm"}, timeout=5)
        assert (await reply.decode())["name"] == "elm"


async def test_a_request_that_fails_says_so() -> None:
    broker = broker_on()

    @broker.subscriber("price.asked", retry=quick(1))
    async def price(event: Any) -> str:
        raise ConnectionError("no price")

    async with started(broker):
        with pytest.raises(RequestFailed, match="no price"):
            await broker.request(1, "price.asked")
        with pytest.raises(RequestTimeout):
            await broker.request(1, "nobody.listens", timeout=0.05)


async def test_a_batch_is_published_in_order(url: str) -> None:
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber("order.*")
    async def handle(event: int) -> None:
        seen.add(event)

    async with started(broker):
        sent = await broker.publish_batch(*range(5), topic="order.placed", key="o-1")
    assert seen.items == list(range(5))
    assert [each.key for each in sent] == ["o-1"] * 5


async def test_the_trace_is_the_envelopes(url: str) -> None:
    """FastStream looks for it in the headers; on the bus it is a part of the envelope."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber("order.*")
    async def handle(event: Any, message: MessageDep) -> None:
        seen.add((message.raw_message.envelope.traceparent, message.headers))

    async with started(broker):
        headers = {"traceparent": trace, "tier": "gold"}
        sent = await broker.publish(1, "order.placed", headers=headers)
    assert sent.headers == {"tier": "gold"}
    assert seen.items == [(trace, {"traceparent": trace, "tier": "gold"})]


class Shouting:
    """A codec."""

    async def encode(self, msg: Any, serializer: Any = None) -> tuple[bytes, str | None]:
        return str(msg).upper().encode(), "text/shout"

    async def decode(self, msg: Any) -> Any:
        assert msg.content_type == "text/shout"
        bodies: list[bytes] = msg.body
        if isinstance(msg.body, list):
            return [each.decode().lower() for each in bodies]
        return msg.body.decode().lower()


async def test_a_codec_writes_and_reads_the_bytes(url: str) -> None:
    seen, broker = Seen(), broker_on(url, codec=Shouting())

    @broker.subscriber("order.*")
    async def handle(event: str, message: MessageDep) -> None:
        seen.add((event, message.body))

    async with started(broker):
        await broker.publish("hello", "order.placed")
    assert seen.items == [("hello", b"HELLO")]


class Reading:
    """A codec that makes events of what other programs write."""

    async def encode(self, msg: Any, serializer: Any = None) -> tuple[bytes, str | None]:
        return f"{msg.name}|{msg.size}".encode(), "text/bars"

    async def decode(self, msg: Any) -> Any:
        pairs = [each.decode().split("|") for each in msg.body]
        return [Struct(name, int(size)) for name, size in pairs]


async def test_the_codec_of_a_batch_reads_what_only_it_can_read(url: str) -> None:
    seen, broker = Seen(), broker_on(url, codec=Reading())

    @broker.subscriber("order.*", batch=Batch(2, within=5.0))
    async def handle(events: list[Struct]) -> None:
        seen.add(events)

    async with started(broker):
        await broker.publish_batch(Struct("a", 1), Struct("b", 2), topic="order.placed")
    assert seen.items == [[Struct("a", 1), Struct("b", 2)]]


@pytest.mark.parametrize("bodies", [(None, 1), (1, None), (None, None), (None,), ()], ids=repr)
async def test_nothing_is_data_of_an_event_in_a_batch_too(
    bodies: tuple[Any, ...], url: str
) -> None:
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber("order.*")
    async def handle(event: Any) -> None:
        seen.add(event)

    async with started(broker):
        sent = await broker.publish_batch(*bodies, topic="order.placed")
    assert seen.items == [*bodies]
    assert len(sent) == len(bodies)


async def test_the_codec_of_a_batch_is_given_all_bodies_at_once(url: str) -> None:
    seen, broker = Seen(), broker_on(url, codec=Shouting())

    @broker.subscriber("order.*", batch=Batch(2, within=5.0))
    async def handle(events: list[str]) -> None:
        seen.add(events)

    async with started(broker):
        await broker.publish_batch("hello", "there", topic="order.placed")
    assert seen.items == [["hello", "there"]]
