"""Publishing from code in threads."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Unpack

import anyio
import anyio.lowlevel

from .errors import StateError
from .message import Envelope, PublishOptions

__all__ = ["FromThread"]


class FromThread:
    """``bus.from_thread``: the bus for code that runs in a thread, a plain handler say."""

    def __init__(self, publish: Callable[..., Awaitable[Envelope]]) -> None:
        self._publish = publish
        self._token: anyio.lowlevel.EventLoopToken | None = None
        self._loops_thread = 0

    def bind(self) -> None:
        """The bus runs on this event loop."""
        self._token = anyio.lowlevel.current_token()
        self._loops_thread = threading.get_ident()

    def publish(
        self, event: object, data: object = None, /, **options: Unpack[PublishOptions]
    ) -> Envelope:
        """Publish and wait until the broker has the event. The same errors as ``Bus.publish``.

        In a plain handler it publishes a child of what is handled. It blocks the thread, so it must
        not be called on the event loop itself.
        """
        if self._token is None:
            raise StateError("the bus is not started: start it before threads publish")
        if threading.get_ident() == self._loops_thread:
            raise StateError(
                "from_thread.publish() was called on the event loop's own thread, which would wait "
                "for itself: use `await bus.publish(...)` there"
            )
        from anyio import from_thread  # late: few programs use it, and it takes a while to load

        call: Any = partial(self._publish, event, data, **options)
        try:
            return from_thread.run(call, token=self._token)  # type: ignore[no-any-return]
        except anyio.RunFinishedError as error:
            raise StateError("the bus has stopped, and its event loop too") from error
