"""Publishing from code in threads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Unpack

import anyio.lowlevel

from .errors import StateError
from .message import Envelope, PublishOptions

__all__ = ["FromThread"]


class FromThread:
    """``bus.from_thread``: the bus for code that runs in a thread, a plain handler say."""

    def __init__(self, publish: Callable[..., Awaitable[Envelope]]) -> None:
        self._publish = publish
        self._token: anyio.lowlevel.EventLoopToken | None = None

    def bind(self) -> None:
        """The bus runs on this event loop."""
        self._token = anyio.lowlevel.current_token()

    def publish(
        self, event: object, data: object = None, /, **options: Unpack[PublishOptions]
    ) -> Envelope:
        """Publish and wait until the broker has the event. The same errors as ``Bus.publish``.

        It blocks the thread, so it must not be called on the event loop itself.
        """
        if self._token is None:
            raise StateError("the bus is not started: start it before threads publish")
        from anyio import from_thread  # late: it brings asyncio and concurrent.futures

        call: Any = partial(self._publish, event, data, **options)
        return from_thread.run(call, token=self._token)  # type: ignore[no-any-return]
