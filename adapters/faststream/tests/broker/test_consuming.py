"""What handlers are given."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from fast_depends.msgspec import MsgSpecSerializer
from faststream import Context, ContextRepo, Depends, Header, Logger, Path

from busway import Batch, Bus, Message
from busway_faststream import BusMessage, MessageDep
from tests.facts import Seen, letters, quick

from .started import Cut, Felled, Grown, Model, Placed, Struct, broker_on, started

__all__: list[str] = []

pytestmark = pytest.mark.anyio

KINDS = [
    (dict, {"name": "oak", "size": 3}),
    (dict[str, Any], {"name": "oak", "size": 3}),
    (Model, Model(name="oak", size=3)),
    (Struct, Struct("oak", 3)),
    (Cut, Cut("oak")),
    (Any, {"name": "oak", "size": 3}),
]


@pytest.mark.parametrize(("kind", "expected"), KINDS, ids=lambda it: getattr(it, "__name__", ""))
@pytest.mark.parametrize(
    "sent", [{"name": "oak", "size": 3}, Struct("oak", 3), Model(name="oak", size=3)]
)
async def test_an_event_is_what_the_parameter_says(
    url: str, kind: Any, expected: Any, sent: Any
) -> None:
    """Whatever it was published as, in one process and over a wire."""
    seen, broker = Seen(), broker_on(url)

    async def handle(event: Any) -> None:
        seen.add(event)

    handle.__annotations__ = {"event": kind}
    broker.subscriber("tree.seen")(handle)
    async with started(broker):
        await broker.publish(sent, "tree.seen")
    assert seen.items == [expected]


@pytest.mark.parametrize(
    ("kind", "value"),
    [(int, 3), (str, "oak"), (list[int], [1, 2]), (bytes, b"\x00\xff"), (float, 1.5)],
)
async def test_builtins_are_events_too(url: str, kind: Any, value: Any) -> None:
    seen, broker = Seen(), broker_on(url)

    async def handle(event: Any) -> None:
        seen.add(event)

    handle.__annotations__ = {"event": kind}
    broker.subscriber("tree.seen")(handle)
    async with started(broker):
        await broker.publish(value, "tree.seen")
    assert seen.items == [value]


async def test_the_parts_of_an_event_may_be_spread(url: str) -> None:
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber("tree.seen")
    async def handle(name: str, size: Decimal) -> None:
        seen.add((name, size))

    async with started(broker):
        await broker.publish(Struct("oak", 3), "tree.seen")
    assert seen.items == [("oak", Decimal(3))]


async def test_structs_are_taken_with_msgspecs_serializer_too(url: str) -> None:
    seen = Seen()
    broker = broker_on(url, serializer=MsgSpecSerializer(use_fastdepends_errors=False))

    @broker.subscriber("tree.seen")
    async def handle(event: list[Struct]) -> None:
        seen.add(event)

    async with started(broker):
        await broker.publish([{"name": "oak"}], "tree.seen")
    assert seen.items == [[Struct("oak")]]


async def test_without_types_an_event_is_builtins(url: str) -> None:
    seen, broker = Seen(), broker_on(url, apply_types=False)

    @broker.subscriber("tree.seen")
    async def handle(event: Struct) -> None:
        seen.add(event)

    async with started(broker):
        await broker.publish(Struct("oak"), "tree.seen")
    assert seen.items == [{"name": "oak", "size": 0}]


async def test_what_does_not_fit_is_set_aside_at_once(url: str) -> None:
    """No retry can mend it, be it pydantic or msgspec that says so."""
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber("tree.seen", group="models", retry=quick())
    async def model(event: Model) -> None:
        seen.add(event)

    @broker.subscriber("tree.seen", group="structs", retry=quick())
    async def struct(event: Struct) -> None:
        seen.add(event)

    async with started(broker):
        await broker.publish({"size": 3}, "tree.seen")
        for group in ("models", "structs"):
            (letter,) = await letters(broker.bus, group, 1)
            assert letter.attempts == 1
            assert "name" in letter.reason
    assert seen.items == []


async def test_a_list_may_be_spread(url: str) -> None:
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber("tree.seen")
    async def handle(*sizes: Any) -> None:
        seen.add(sizes)

    async with started(broker):
        await broker.publish([1, 2], "tree.seen")
    assert seen.items == [(1, 2)]


async def test_arguments_and_results_are_validated_as_by_fast_stream(url: str) -> None:
    """Also where the short way is taken, which a handler with a dependency does not take."""
    seen, broker = Seen(), broker_on(url)

    async def short(event: int) -> int:
        seen.add(event)
        return "no number"  # type: ignore[return-value]

    async def long(event: int, other: Annotated[int, Depends(lambda: 1)]) -> int:
        return await short(event)

    for handler in (short, long):
        broker.subscriber("order.*", group=handler.__name__, retry=quick(2))(handler)
    reasons: list[list[str]] = []
    async with started(broker):
        await broker.publish("7", "order.placed")
        await broker.publish("seven", "order.placed")
        for handler in (short, long):
            found = await letters(broker.bus, handler.__name__, 2)
            assert {(each.kind, each.attempts) for each in found} == {("ValidationError", 2)}
            reasons.append(sorted(each.reason for each in found))
    assert seen.items == [7] * 4
    assert reasons[0] == [each.replace("long", "short") for each in reasons[1]]


async def test_handlers_have_all_that_fast_stream_gives(url: str) -> None:
    seen, broker = Seen(), broker_on(url)
    is_msgpack = url.endswith("msgpack")

    @broker.subscriber("order.{kind}", group="billing")
    async def handle(
        event: dict[str, Any],
        kind: Annotated[str, Path()],
        user: Annotated[str, Depends(lambda: "ann")],
        tier: Annotated[str, Header()],
        topic: Annotated[str, Context("message.raw_message.topic")],
        message: MessageDep,
        logger: Logger,
        repo: ContextRepo,
        bus: Annotated[Bus, Context("bus")],
        missing: Annotated[str, Header(default="none")],
    ) -> None:
        assert isinstance(message, BusMessage)
        assert isinstance(message.raw_message, Message)
        assert bus is broker.bus
        assert repo.get("message") is message
        raw = message.raw_message
        seen.add((event, kind, user, tier, topic, missing, raw.group, raw.attempt))
        assert message.message_id == raw.id
        assert message.correlation_id == raw.correlation_id
        read = msgspec.msgpack.decode if is_msgpack else msgspec.json.decode
        assert read(message.body) == event
        assert message.content_type == f"application/{'msgpack' if is_msgpack else 'json'}"

    async with started(broker):
        await broker.publish({"a": 1}, "order.placed", headers={"tier": "gold"})
    assert seen.items == [({"a": 1}, "placed", "ann", "gold", "order.placed", "none", "billing", 1)]


async def test_a_plain_function_runs_in_a_thread(url: str) -> None:
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber("tree.seen")
    def handle(event: Struct) -> None:
        seen.items.append(event)

    async with started(broker):
        await broker.publish({"name": "oak"}, "tree.seen")
    assert seen.items == [Struct("oak")]


async def test_declared_classes_are_patterns_and_topics(url: str) -> None:
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber(Placed, Grown)
    async def handle(event: dict[str, Any], message: MessageDep) -> None:
        seen.add((message.raw_message.topic, message.raw_message.key, event))

    async with started(broker):
        await broker.publish(Placed("o-1", 2.5))
        await broker.publish(Grown(7))
    assert sorted(seen.items) == [
        ("cart.placed", "o-1", {"order_id": "o-1", "total": 2.5}),
        ("tree.grown", None, {"height": 7}),
    ]


async def test_a_declared_model_of_pydantics_keeps_its_key(url: str) -> None:
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber(Felled)
    async def handle(event: Felled, message: MessageDep) -> None:
        seen.add((event, message.raw_message.key))

    async with started(broker):
        await broker.publish(Felled(name="oak"))
    assert seen.items == [(Felled(name="oak"), "oak")]


async def test_the_most_specific_subscriber_of_a_group_gets_an_event(url: str) -> None:
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber("order.*", group="billing")
    async def every(event: Any) -> None:
        seen.add("every")

    @broker.subscriber("order.placed", group="billing")
    async def placed(event: Any) -> None:
        seen.add("placed")

    async with started(broker):
        await broker.publish(1, "order.placed")
        await broker.publish(1, "order.paid")
    assert sorted(seen.items) == ["every", "placed"]


async def test_subscribers_without_a_group_each_get_every_event(url: str) -> None:
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber("order.*")
    async def one(event: Any) -> None:
        seen.add("one")

    @broker.subscriber("order.*")
    async def two(event: Any) -> None:
        seen.add("two")

    async with started(broker):
        await broker.publish(1, "order.placed")
    assert sorted(seen.items) == ["one", "two"]


@pytest.mark.parametrize(
    ("item", "expected"),
    [(Struct, Struct("oak")), (Model, Model(name="oak")), (dict, {"name": "oak", "size": 0})],
)
async def test_a_batch_is_handled_by_one_call(url: str, item: Any, expected: Any) -> None:
    seen, broker = Seen(), broker_on(url)

    async def handle(events: Any) -> None:
        seen.add(events)

    handle.__annotations__ = {"events": list[item]}
    broker.subscriber("tree.*", batch=Batch(3, within=5.0))(handle)
    async with started(broker):
        await broker.publish_batch(*[Struct("oak")] * 3, topic="tree.seen")
        await seen.count(1)
    assert seen.items == [[expected] * 3]


async def test_what_does_not_fit_does_not_fail_the_batch_it_is_in(url: str) -> None:
    seen, broker = Seen(), broker_on(url)

    @broker.subscriber("tree.*", group="store", batch=Batch(3, within=0.01))
    async def store(events: list[Struct]) -> None:
        for each in events:
            seen.add(each.name)

    async with started(broker):
        await broker.publish_batch({"name": "a"}, {"size": 1}, {"name": "b"}, topic="tree.seen")
        await seen.count(2)
        await letters(broker.bus, "store", 1)
    assert sorted(seen.items) == ["a", "b"]
