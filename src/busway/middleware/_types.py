"""What a middleware is, on both sides, and how a chain is made of several."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from busway.errors import OptionError
from busway.message import Envelope, Message

__all__ = [
    "Handler",
    "Mark",
    "Middleware",
    "PublishMiddleware",
    "Send",
    "SendMiddleware",
    "compose",
    "compose_send",
    "handler_name",
    "publishing",
]

T = TypeVar("T")

Handler = Callable[[Message[Any]], Awaitable[Any]]
"""Handles one message: returning is success, raising is a failed attempt."""

Middleware = Callable[[Handler], Callable[[Message[Any]], Any]]
"""Takes the next handler and returns a wrapper of it, async or plain. A plain one returns a value
or something to await; it runs on the event loop, so it must not block."""

Send = Callable[[Envelope], Awaitable[None]]
"""Sends one envelope, with the errors of ``Bus.publish``."""

SendMiddleware = Callable[[Send], Callable[[Envelope], Any]]
"""Takes the next send and returns a wrapper of it, async or plain."""


class Mark:
    """What stands in ``middleware=`` and wraps no handler: the bus looks for it by its class."""

    __slots__ = ()


class PublishMiddleware(Mark):
    """A middleware of the publish side. Made by ``publishing``."""

    __slots__ = ("wrap",)

    def __init__(self, wrap: SendMiddleware) -> None:
        self.wrap = wrap

    def __repr__(self) -> str:
        return f"publishing({_name(self.wrap)})"


def publishing(wrap: SendMiddleware, /) -> PublishMiddleware:
    """Mark a function of ``send`` as a middleware of the publish side.

    An envelope is never changed: send a copy made with ``msgspec.structs.replace``, which keeps the
    id. Not calling ``send`` means that the event is not sent, and nobody is told.

    Raises ``OptionError`` when it is given no callable. Cost: what the function does, per publish.
    """
    if not callable(wrap):
        raise OptionError(f"publishing({wrap!r}): it takes a function of send")
    return PublishMiddleware(wrap)


def compose(handler: Handler, middlewares: Sequence[Middleware | Mark], /) -> Handler:
    """The handler inside its middlewares, the first of them outermost. Marks are passed over.

    Raises ``OptionError`` for what is neither a middleware nor a mark. Without middlewares it is
    the handler itself. Cost: one call per middleware and message, two for a plain wrapper.
    """
    for middleware in reversed(middlewares):
        if not isinstance(middleware, Mark):
            handler = _wrapped(middleware, handler)
    return handler


def compose_send(send: Send, middlewares: Sequence[Middleware | Mark], /) -> Send:
    """The send inside the publish side's middlewares, the first outermost; others are passed over.

    Raises ``OptionError`` for a middleware that returns no callable. Without any it is the send
    itself. With any, the envelope's id is made before the first of them sees it, so that a copy
    has the same id as the envelope that ``publish`` returns.
    """
    chain = [each for each in middlewares if isinstance(each, PublishMiddleware)]
    if not chain:
        return send
    for middleware in reversed(chain):
        send = _wrapped(middleware.wrap, send)
    first = send

    async def identified(envelope: Envelope) -> None:
        _ = envelope.id
        await first(envelope)

    return identified


def handler_name(handler: Callable[..., Any], /) -> str:
    """The name of the function under all wrappers that were made with ``functools.wraps``, without
    the functions it was made in: ``charge``, ``Billing.charge``."""
    inner: Any = inspect.unwrap(handler)
    while isinstance(inner, functools.partial):
        inner = inspect.unwrap(inner.func)
    return _name(inner)


def _wrapped(
    wrap: Callable[[Callable[[T], Awaitable[Any]]], Callable[[T], Any]],
    inner: Callable[[T], Awaitable[Any]],
) -> Callable[[T], Awaitable[Any]]:
    if not callable(wrap):
        raise OptionError(f"{wrap!r} is no middleware: it takes a function of the next handler")
    wrapper = wrap(inner)
    if not callable(wrapper):
        raise OptionError(
            f"the middleware {_name(wrap)} returned {wrapper!r}: it must return a handler"
        )
    return wrapper if _is_async(wrapper) else _awaiting(wrapper, inner)


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
    )


def _awaiting(
    wrapper: Callable[[T], Any], inner: Callable[[T], Awaitable[Any]]
) -> Callable[[T], Awaitable[Any]]:
    @functools.wraps(inner)
    async def awaiting(item: T) -> Any:
        result = wrapper(item)
        return await result if inspect.isawaitable(result) else result

    return awaiting


def _name(thing: object) -> str:
    name = getattr(thing, "__qualname__", None)
    name = name if isinstance(name, str) else type(thing).__qualname__
    return name.rpartition(".<locals>.")[2]
