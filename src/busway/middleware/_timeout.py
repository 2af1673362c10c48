"""``timeout``: a handler that takes too long has failed."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any

import anyio

from busway.message import Message

from ._options import seconds_of
from ._types import Handler, Middleware, handler_name

__all__ = ["timeout"]


def timeout(seconds: float | timedelta, /) -> Middleware:
    """Cancel the handler after so many seconds and fail the attempt.

    The attempt fails with ``TimeoutError``, which names the handler and the limit. A handler's own
    ``TimeoutError`` passes unchanged, and a handler that finishes although it was cancelled has
    succeeded. Code in a thread cannot be cancelled: it runs on to its end.

    Time is the event loop's, not the bus's ``clock``. Put it inside of ``breaker`` and ``dedupe``,
    or their waits count.

    Raises ``OptionError`` when the limit is not above 0. Cost: one cancel scope per message.
    """
    limit = seconds_of("timeout", seconds)

    def wrap(handler: Handler) -> Handler:
        name = handler_name(handler)

        @functools.wraps(handler)
        async def limited(message: Message[Any]) -> Any:
            with anyio.move_on_after(limit):
                return await handler(message)
            # Reached only when the scope swallowed its own cancellation.
            raise TimeoutError(f"{name} took longer than its timeout of {limit:g} s")

        return limited

    return wrap
