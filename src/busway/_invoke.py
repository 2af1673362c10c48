"""How a handler is called for a delivery: composed once, with nothing in it that is not needed."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import msgspec

from ._convert import Converter, converter
from ._declared import declared_for
from ._handlers import Signature, as_async, is_async
from ._handling import BatchInvoke, Handling, Invoke
from ._pydantic import is_open
from ._runtime import Runtime
from .errors import HandlerError
from .message import BusPart, Envelope, Message
from .middleware import Handler, Mark, Middleware, compose
from .middleware import timeout as timeout_middleware
from .transport import Delivery

__all__ = [
    "Call",
    "batch_invoke",
    "exact_class",
    "plain_invoke",
    "single_invoke",
    "tell_handled",
]


class Call(msgspec.Struct):
    """All there is to know about calling one handler."""

    function: Callable[..., Any]
    signature: Signature
    group: str
    bus: BusPart
    runtime: Runtime
    middleware: Sequence[Middleware | Mark] = ()
    timeout: float | None = None
    subscription: Any = None


def single_invoke(call: Call) -> Invoke:
    """For a handler that takes one event."""
    if call.signature.is_list:
        raise HandlerError(
            f"{call.signature.name} takes a list: that needs batch=Batch(size, within=seconds)"
        )
    convert = converter(call.signature.annotation, declared_for)
    wrapped = [each for each in call.middleware if not isinstance(each, Mark)]
    if call.timeout is not None:
        wrapped.append(timeout_middleware(call.timeout))
    function = as_async(call.function)
    if wrapped:
        return _through(call, convert, function, wrapped)
    return _direct(call, convert, function)


def plain_invoke(call: Call) -> Callable[[Envelope], Awaitable[Any]] | None:
    """The same for a handler that is given its event and nothing else: None for all others."""
    signature = call.signature
    if not _is_bare(call) or signature.takes_message or signature.annotation is None:
        return None
    convert, function = converter(signature.annotation, declared_for), as_async(call.function)
    return lambda envelope: function(convert(envelope))


def _is_bare(call: Call) -> bool:
    return call.timeout is None and all(isinstance(each, Mark) for each in call.middleware)


def exact_class(call: Call) -> type | None:
    """The class whose events the handler can be given without any conversion or wrapper."""
    signature = call.signature
    if not _is_bare(call):
        return None
    wanted = signature.annotation
    if signature.takes_message or not isinstance(wanted, type) or is_open(wanted):
        return None
    return wanted if is_async(call.function) else None


def _direct(call: Call, convert: Converter, function: Callable[..., Awaitable[Any]]) -> Invoke:
    signature = call.signature
    if signature.takes_message:
        group, bus, subscription = call.group, call.bus, call.subscription

        def with_message(envelope: Envelope, delivery: Delivery) -> Awaitable[Any]:
            value = convert(envelope)
            return function(value, Message(envelope, value, group, delivery, bus, subscription))

        return with_message
    if signature.annotation is None:
        return lambda envelope, delivery: function()
    return lambda envelope, delivery: function(convert(envelope))


def _through(
    call: Call,
    convert: Converter,
    function: Callable[..., Awaitable[Any]],
    middleware: Sequence[Middleware],
) -> Invoke:
    handler = compose(_innermost(call.signature, call.function, function), middleware)
    group, bus, subscription = call.group, call.bus, call.subscription

    def through(envelope: Envelope, delivery: Delivery) -> Awaitable[Any]:
        value = convert(envelope)
        return handler(Message(envelope, value, group, delivery, bus, subscription))

    return through


def _innermost(
    signature: Signature, original: Callable[..., Any], function: Callable[..., Awaitable[Any]]
) -> Handler:
    if signature.takes_message:

        async def innermost(message: Message[Any]) -> Any:
            return await function(message.data, message)

    elif signature.annotation is None:

        async def innermost(message: Message[Any]) -> Any:
            return await function()

    else:

        async def innermost(message: Message[Any]) -> Any:
            return await function(message.data)

    # Messages of a middleware name the handler, not this wrapper.
    innermost.__name__ = signature.name
    innermost.__qualname__ = signature.name
    return innermost


def tell_handled(call: Call, handling: Handling) -> Callable[[], None]:
    """Have the hooks told of what this handler handled; returns what undoes it."""
    bare, bare_batch = handling.invoke, handling.invoke_batch
    exact, plain = handling.exact, handling.plain
    # Only what goes through ``invoke`` is told of.
    handling.invoke, handling.exact, handling.plain = _telling(call, bare), None, None
    if bare_batch is not None:
        handling.invoke_batch = _telling_of_all(call, bare_batch)

    def undo() -> None:
        handling.invoke, handling.invoke_batch = bare, bare_batch
        handling.exact, handling.plain = exact, plain

    return undo


def _telling(call: Call, invoke: Invoke) -> Invoke:
    runtime, group, name = call.runtime, call.group, call.signature.name

    async def telling(envelope: Envelope, delivery: Delivery) -> Any:
        started = time.perf_counter()
        result = await invoke(envelope, delivery)
        seconds = time.perf_counter() - started
        runtime.tell("handled", envelope, group, name, delivery.attempt, seconds, delivery.channel)
        return result

    return telling


def _telling_of_all(call: Call, invoke: BatchInvoke) -> BatchInvoke:
    runtime, group, name = call.runtime, call.group, call.signature.name

    async def telling(deliveries: list[Delivery], values: list[Any]) -> Any:
        started = time.perf_counter()
        result = await invoke(deliveries, values)
        seconds = time.perf_counter() - started
        for each in deliveries:
            runtime.tell("handled", each.content, group, name, each.attempt, seconds, each.channel)
        return result

    return telling


def batch_invoke(call: Call) -> tuple[Converter, BatchInvoke]:
    """For a handler that takes a list of events: what converts one, and what takes all."""
    signature = call.signature
    if signature.annotation is not None and not signature.is_list:
        raise HandlerError(
            f"{signature.name} is given batch=: its first parameter must be a list of events"
        )
    if any(not isinstance(each, Mark) for each in call.middleware):
        raise HandlerError(
            f"{signature.name}: middleware and dedupe take one message at a time, and batch= gives "
            "the handler many"
        )
    convert = converter(signature.annotation, declared_for)
    function = as_async(call.function)
    limit = call.timeout

    async def invoke(deliveries: list[Delivery], values: list[Any]) -> Any:
        arguments: list[Any] = [values]
        if signature.takes_message:
            arguments.append(
                [
                    Message(d.content, value, call.group, d, call.bus, call.subscription)
                    for d, value in zip(deliveries, values, strict=True)
                    if isinstance(d.content, Envelope)
                ]
            )
        with anyio.fail_after(limit):
            return await function(*arguments)

    return convert, invoke
