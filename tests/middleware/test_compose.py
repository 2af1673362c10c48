"""Chains of middlewares, on both sides."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from busway.errors import OptionError
from busway.message import Envelope, Message
from busway.middleware import (
    Handler,
    Hooks,
    PublishMiddleware,
    Send,
    compose,
    compose_send,
    handler_name,
    publishing,
    trace,
)

pytestmark = pytest.mark.anyio

MakeMessage = Callable[..., Message[Any]]


async def total(message: Message[Any]) -> Any:
    return message.data["total"]


def test_without_middlewares_the_handler_is_itself() -> None:
    assert compose(total, ()) is total


def test_without_publish_middlewares_the_send_is_itself() -> None:
    async def send(envelope: Envelope) -> None: ...

    assert compose_send(send, (trace(Hooks()),)) is send


async def test_the_first_middleware_is_outermost(message: MakeMessage) -> None:
    calls: list[str] = []

    def named(name: str) -> Callable[[Handler], Handler]:
        def wrap(handler: Handler) -> Handler:
            async def wrapper(message: Message[Any]) -> Any:
                calls.append(f"{name} in")
                result = await handler(message)
                calls.append(f"{name} out")
                return result

            return wrapper

        return wrap

    assert await compose(total, (named("a"), named("b")))(message()) == 1
    assert calls == ["a in", "b in", "b out", "a out"]


async def test_each_middleware_is_called_once_when_the_chain_is_composed(
    message: MakeMessage,
) -> None:
    composed: list[Handler] = []

    def wrap(handler: Handler) -> Handler:
        composed.append(handler)
        return handler

    chain = compose(total, (wrap,))
    await chain(message())
    await chain(message())
    assert composed == [total]


async def test_a_plain_wrapper_may_return_a_value(message: MakeMessage) -> None:
    def wrap(handler: Handler) -> Callable[[Message[Any]], Any]:
        return lambda message: f"instead of {handler_name(handler)}"

    assert await compose(total, (wrap,))(message()) == "instead of total"


async def test_a_plain_wrapper_may_return_something_to_await(message: MakeMessage) -> None:
    def wrap(handler: Handler) -> Callable[[Message[Any]], Any]:
        def wrapper(message: Message[Any]) -> Awaitable[Any]:
            return handler(message)

        return wrapper

    assert await compose(total, (wrap, wrap))(message()) == 1


async def test_an_object_with_an_async_call_is_a_wrapper(message: MakeMessage) -> None:
    class Twice:
        def __init__(self, handler: Handler) -> None:
            self.handler = handler

        async def __call__(self, message: Message[Any]) -> Any:
            return [await self.handler(message), await self.handler(message)]

    assert await compose(total, (Twice,))(message()) == [1, 1]


async def test_what_a_plain_wrapper_raises_reaches_the_caller(message: MakeMessage) -> None:
    def wrap(handler: Handler) -> Callable[[Message[Any]], Any]:
        def wrapper(message: Message[Any]) -> Any:
            raise LookupError("no such customer")

        return wrapper

    with pytest.raises(LookupError, match="no such customer"):
        await compose(total, (wrap,))(message())


def test_what_is_no_middleware_is_refused_by_name() -> None:
    with pytest.raises(OptionError, match="'timeout' is no middleware"):
        compose(total, ("timeout",))  # type: ignore[arg-type]


def test_a_middleware_that_forgets_to_return_is_refused_by_name() -> None:
    def forgetful(handler: Handler) -> Any:
        return None

    with pytest.raises(OptionError, match=r"forgetful returned None: it must return a handler"):
        compose(total, (forgetful,))


def test_publishing_takes_a_function() -> None:
    with pytest.raises(OptionError, match="takes a function of send"):
        publishing(None)  # type: ignore[arg-type]


def test_the_name_of_a_handler_is_found_under_its_wrappers() -> None:
    @functools.wraps(total)
    async def wrapper(message: Message[Any]) -> Any:
        return await total(message)

    assert handler_name(functools.partial(wrapper)) == "total"


def test_a_handler_object_is_named_by_its_class() -> None:
    class Charge:
        async def __call__(self, message: Message[Any]) -> None: ...

    assert handler_name(Charge()).endswith("Charge")


async def test_both_sides_stand_in_one_tuple_and_each_side_takes_its_own(
    message: MakeMessage,
) -> None:
    seen: list[str] = []

    def handled(handler: Handler) -> Handler:
        async def wrapper(message: Message[Any]) -> Any:
            seen.append("handled")
            return await handler(message)

        return wrapper

    @publishing
    def published(send: Send) -> Send:
        async def wrapper(envelope: Envelope) -> None:
            seen.append("published")
            await send(envelope)

        return wrapper

    async def send(envelope: Envelope) -> None:
        seen.append("sent")

    middlewares = (published, handled, trace(Hooks()))
    await compose_send(send, middlewares)(Envelope("order.placed"))
    await compose(total, middlewares)(message())
    assert seen == ["published", "sent", "handled"]


async def test_a_copy_made_by_a_publish_middleware_keeps_the_id() -> None:
    """The id is made lazily: a copy made before that would get one of its own."""
    sent: list[Envelope] = []

    @publishing
    def stamp(send: Send) -> Send:
        async def stamped(envelope: Envelope) -> None:
            headers = {**envelope.headers, "release": "7"}
            await send(msgspec.structs.replace(envelope, headers=headers))

        return stamped

    async def send(envelope: Envelope) -> None:
        sent.append(envelope)

    original = Envelope("order.placed", timestamp=1_000_000.0)
    await compose_send(send, (stamp,))(original)
    assert sent[0].headers == {"release": "7"}
    assert sent[0].id == original.id
    assert sent[0].correlation_id == original.correlation_id


async def test_a_plain_wrapper_of_send_is_accepted() -> None:
    sent: list[str] = []

    @publishing
    def only_orders(send: Send) -> Callable[[Envelope], Any]:
        return lambda envelope: send(envelope) if envelope.type == "order.placed" else None

    async def send(envelope: Envelope) -> None:
        sent.append(envelope.type)

    chain = compose_send(send, (only_orders,))
    await chain(Envelope("order.placed"))
    await chain(Envelope("user.seen"))
    assert sent == ["order.placed"]


async def test_the_first_publish_middleware_is_outermost() -> None:
    calls: list[str] = []

    def named(name: str) -> PublishMiddleware:
        @publishing
        def wrap(send: Send) -> Send:
            async def wrapper(envelope: Envelope) -> None:
                calls.append(name)
                await send(envelope)

            return wrapper

        return wrap

    async def send(envelope: Envelope) -> None:
        calls.append("sent")

    await compose_send(send, (named("a"), named("b")))(Envelope("order.placed"))
    assert calls == ["a", "b", "sent"]
