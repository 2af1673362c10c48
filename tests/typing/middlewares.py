"""What middleware is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, assert_type

from busway import Envelope, Message
from busway.middleware import (
    DedupeStore,
    Handler,
    Hooks,
    MemoryStore,
    Middleware,
    Published,
    PublishMiddleware,
    Send,
    publishing,
    timeout,
    trace,
)

__all__ = ["Counting", "a_function_of_a_handler_is_a_middleware", "both_sides_stand_together"]


def counting(handler: Handler) -> Handler:
    async def counted(message: Message[Any]) -> Any:
        return await handler(message)

    return counted


def stamping(send: Send) -> Send:
    async def stamped(envelope: Envelope) -> None:
        await send(envelope)

    return stamped


def a_function_of_a_handler_is_a_middleware() -> None:
    middleware: Middleware = counting
    assert_type(timeout(1.5), Middleware)
    assert_type(timeout(timedelta(seconds=1)), Middleware)
    assert_type(publishing(stamping), PublishMiddleware)
    timeout("soon")  # type: ignore[arg-type]
    publishing(42)  # type: ignore[arg-type]
    del middleware


class Counting(Hooks):
    """Hooks take one frozen struct each."""

    def published(self, details: Published, /) -> None:
        assert_type(details.envelope, Envelope)
        assert_type(details.channel, str)
        assert_type(details.seconds, float)
        details.seconds = 0.0  # type: ignore[misc]


def both_sides_stand_together() -> None:
    store: DedupeStore = MemoryStore()
    chain = (counting, publishing(stamping), trace(Counting()))
    handler: Callable[[Message[Any]], Awaitable[Any]] | None = None
    trace(Counting)  # type: ignore[arg-type]
    del store, chain, handler
