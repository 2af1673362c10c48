"""Class middlewares, filters, parsers and dependencies, as under any broker of FastStream's."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Annotated, Any

import pytest
from faststream import BaseMiddleware, Context, Depends, ExceptionMiddleware

from busway import Batch, Bus, Message
from busway_faststream import BusRouter, MessageDep, MirrorToBus, TestBusBroker
from tests.facts import Seen, letters, quick

from .started import Struct, broker_on, started

__all__: list[str] = []

pytestmark = pytest.mark.anyio


def telling(seen: Seen, name: str) -> type[BaseMiddleware[Any, Any]]:
    """A middleware that notes what it sees."""

    class Telling(BaseMiddleware[Any, Any]):
        async def on_receive(self) -> None:
            seen.add(f"{name} receives {self.msg.topic}")

        async def consume_scope(self, call_next: Any, msg: Any) -> Any:
            seen.add(f"{name} before")
            result = await call_next(msg)
            seen.add(f"{name} after")
            return result

        async def publish_scope(self, call_next: Any, cmd: Any) -> Any:
            seen.add(f"{name} publishes {cmd.destination}")
            return await call_next(cmd)

        async def after_processed(self, *raised: Any) -> bool | None:
            seen.add(f"{name} processed {raised[0].__name__ if raised[0] else 'well'}")
            return False

    return Telling


async def test_middlewares_stand_around_a_handler_the_first_outermost() -> None:
    seen = Seen()
    broker = broker_on(middlewares=[telling(seen, "one"), telling(seen, "two")])

    @broker.subscriber("order.placed")
    @broker.publisher("order.billed")
    async def handle(event: Any) -> str:
        seen.add("handler")
        return "billed"

    async with started(broker):
        await broker.publish(1, "order.placed")
    assert seen.items == [
        "one publishes order.placed",
        "two publishes order.placed",
        "one receives order.placed",
        "two receives order.placed",
        "one before",
        "two before",
        "handler",
        "two after",
        "one after",
        "one publishes order.billed",
        "two publishes order.billed",
        "two processed well",
        "one processed well",
    ]


async def test_a_routers_middlewares_stand_inside_the_brokers() -> None:
    seen = Seen()
    broker = broker_on(middlewares=[telling(seen, "broker")])
    router = BusRouter(middlewares=[telling(seen, "router")])

    @router.subscriber("order.placed")
    async def handle(event: Any) -> None:
        seen.add("handler")

    broker.include_router(router)
    async with started(broker):
        await broker.publish(1, "order.placed")
    before = [each for each in seen.items if each.endswith("before") or each == "handler"]
    assert before == ["broker before", "router before", "handler"]


async def test_a_middleware_sees_the_error_and_the_event_is_tried_again() -> None:
    seen = Seen()
    broker = broker_on(middlewares=[telling(seen, "one")])

    @broker.subscriber("order.placed", group="billing", retry=quick(2))
    async def handle(event: Any) -> None:
        raise ConnectionError

    async with started(broker):
        await broker.publish(1, "order.placed")
        await letters(broker.bus, "billing", 1)
    assert seen.items.count("one processed ConnectionError") == 2


async def test_what_a_middleware_swallows_is_done() -> None:
    class Swallowing(BaseMiddleware[Any, Any]):
        async def after_processed(self, *raised: Any) -> bool | None:
            return raised[0] is ConnectionError

    seen, broker = Seen(), broker_on(middlewares=[Swallowing])

    @broker.subscriber("order.placed", group="billing", retry=quick(3))
    async def handle(event: Any) -> None:
        seen.add(event)
        raise ConnectionError

    async with started(broker):
        await broker.publish(1, "order.placed")
        await broker.bus.drain(timeout=5)
        assert await broker.bus.dead_letters("billing").list() == []
    assert seen.items == [1]


async def test_a_middleware_sees_the_correlation_id_of_what_a_handler_publishes() -> None:
    seen = Seen()

    class Noting(BaseMiddleware[Any, Any]):
        async def publish_scope(self, call_next: Any, cmd: Any) -> Any:
            seen.add((cmd.destination, cmd.correlation_id))
            return await call_next(cmd)

    broker = broker_on(middlewares=[Noting])

    @broker.subscriber("order.placed")
    @broker.publisher("order.billed")
    async def handle(event: Any) -> str:
        return "billed"

    async with started(broker):
        await broker.publish(1, "order.placed", correlation_id="c-1")
    assert seen.items == [("order.placed", "c-1"), ("order.billed", "c-1")]


async def test_an_exception_middleware_answers_in_a_handlers_place() -> None:
    exceptions = ExceptionMiddleware(publish_handlers={ZeroDivisionError: lambda error: "none"})
    seen, broker = Seen(), broker_on(middlewares=[exceptions])

    @broker.subscriber("order.placed")
    @broker.publisher("order.billed")
    async def handle(event: Any) -> float:
        return 1 / event

    @broker.subscriber("order.billed")
    async def note(event: Any) -> None:
        seen.add(event)

    async with started(broker):
        await broker.publish(0, "order.placed")
    assert seen.items == ["none"]


async def test_a_middleware_can_put_another_body_there() -> None:
    class Renaming(BaseMiddleware[Any, Any]):
        async def consume_scope(self, call_next: Any, msg: Any) -> Any:
            msg.body = msg.body.replace(b"oak", b"elm")
            return await call_next(msg)

    seen, broker = Seen(), broker_on(middlewares=[Renaming])

    @broker.subscriber("tree.seen")
    async def handle(event: Struct) -> None:
        seen.add(event.name)

    async with started(broker):
        await broker.publish(Struct("oak"), "tree.seen")
    assert seen.items == ["elm"]


async def test_a_filter_chooses_the_handler_and_what_none_takes_is_set_aside() -> None:
    seen, broker = Seen(), broker_on()
    subscriber = broker.subscriber("order.*", group="billing", retry=quick())

    @subscriber(filter=lambda message: message.headers.get("kind") == "a")
    async def first(event: Any) -> None:
        seen.add(("first", event))

    @subscriber(filter=lambda message: message.headers.get("kind") == "b")
    async def second(event: Struct) -> None:
        seen.add(("second", event))

    async with started(broker):
        await broker.publish({"name": "a"}, "order.placed", headers={"kind": "a"})
        await broker.publish({"name": "b"}, "order.placed", headers={"kind": "b"})
        await broker.publish({"name": "c"}, "order.placed")
        (letter,) = await letters(broker.bus, "billing", 1)
    assert seen.items == [("first", {"name": "a"}), ("second", Struct("b"))]
    assert "filter" in letter.reason


async def test_one_handler_may_have_a_filter_too() -> None:
    seen, broker = Seen(), broker_on()
    subscriber = broker.subscriber("order.*", group="billing", retry=quick())

    @subscriber(filter=lambda message: message.headers.get("kind") == "a")
    async def only(event: Any) -> None:
        seen.add(event)

    async with started(broker):
        await broker.publish(1, "order.placed", headers={"kind": "a"})
        await broker.publish(2, "order.placed", headers={"kind": "b"})
        await letters(broker.bus, "billing", 1)
    assert seen.items == [1]


async def test_a_context_variable_is_looked_up_where_the_handler_runs() -> None:
    seen, broker = Seen(), broker_on()

    @broker.subscriber("order.*")
    async def handle(event: Any, thread: Annotated[int, Context(initial=get_ident)]) -> None:
        seen.add(thread)

    async with started(broker):
        await broker.publish(1, "order.placed")
    assert seen.items == [get_ident()]


async def test_parsers_and_decoders_are_used_on_every_level() -> None:
    async def parse(message: Any, original: Callable[[Any], Any]) -> Any:
        parsed = await original(message)
        parsed.headers["parsed"] = "yes"
        return parsed

    async def decode(message: Any, original: Callable[[Any], Any]) -> Any:
        return {"decoded": await original(message), "parsed": message.headers["parsed"]}

    seen, broker = Seen(), broker_on(parser=parse)

    @broker.subscriber("order.*", decoder=decode)
    async def handle(event: dict[str, Any]) -> None:
        seen.add(event)

    async with started(broker):
        await broker.publish(1, "order.placed")
    assert seen.items == [{"decoded": 1, "parsed": "yes"}]


async def test_dependencies_of_broker_router_subscriber_and_handler_are_resolved() -> None:
    seen = Seen()

    def tell(name: str) -> Any:
        def dependency(event: dict[str, Any]) -> str:
            seen.add(name)
            return name

        return Depends(dependency)

    broker = broker_on(dependencies=[tell("broker")])
    router = BusRouter(dependencies=[tell("router")])

    @router.subscriber("order.*", dependencies=[tell("subscriber")])
    async def handle(event: dict[str, Any]) -> None:
        seen.add("handler")

    broker.include_router(router)
    async with started(broker):
        await broker.publish({"a": 1}, "order.placed")
    assert sorted(seen.items[:-1]) == ["broker", "router", "subscriber"]
    assert seen.items[-1] == "handler"


@pytest.mark.parametrize("around", [False, True], ids=["alone", "in a middleware"])
async def test_the_context_is_the_messages_own_and_gone_afterwards(around: bool) -> None:
    """The short way through the pipeline and FastStream's own leave the same behind."""
    middlewares = [telling(Seen(), "one")] if around else []
    seen, broker = Seen(), broker_on(middlewares=middlewares)

    @broker.subscriber("order.*")
    async def handle(
        event: Any,
        message: MessageDep,
        handler: Annotated[Any, Context("handler_")],
        own: Annotated[Any, Context("broker")],
        told: Annotated[Any, Context("log_context")],
    ) -> None:
        assert own is broker
        assert handler in broker.subscribers
        assert await message.decode() == event
        seen.add((told["topic"], told["message_id"] == message.message_id))

    async with started(broker):
        await broker.publish(1, "order.placed")
    # A test broker's handlers run in the task that publishes, and share its context.
    async with TestBusBroker(broker) as test:
        await test.publish(1, "order.placed")
        for name in ("message", "handler_", "log_context"):
            assert broker.context.get_local(name) is None
    assert seen.items == [("order.placed", True)] * 2


@pytest.mark.parametrize("options", [{}, {"batch": Batch(2, within=0.01)}], ids=["one", "batch"])
async def test_a_mirror_gives_each_try_of_an_event_the_same_id(options: dict[str, Any]) -> None:
    found, bus, calls = Seen(), Bus(service="mirror"), Seen()
    mirror = MirrorToBus(bus, published=False, topics={"order.placed": "order.seen"})
    broker = broker_on(middlewares=[mirror])

    @bus.subscribe("order.seen")
    async def note(data: Any, message: Message[Any]) -> None:
        found.add(message.envelope)

    @broker.subscriber("order.*", retry=quick(3), **options)
    async def handle(event: Any) -> None:
        calls.add(event)
        if len(calls.items) < 3:
            raise ValueError("not yet")

    async with bus, started(broker):
        sent = await broker.publish(1, "order.placed", key="o-1")
        await broker.bus.drain(timeout=5)
        await bus.drain(timeout=5)
    assert [(each.id, each.key, each.data) for each in found.items] == [(sent.id, "o-1", 1)] * 3
