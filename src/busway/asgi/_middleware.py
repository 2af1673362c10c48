"""Around a web application: what a request publishes is held together, and errors are answered."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any, Final

from .._bus import Bus
from ..errors import BuswayError, OptionError
from ..middleware import caused_by
from ._origin import CORRELATION, origin_of
from ._problem import problem_of
from ._scope import ASGIApp, Receive, Scope, Send

__all__ = ["BusMiddleware"]

_LONGEST_PATH: Final = 200
_log: Final = logging.getLogger("busway.asgi")
_CORRELATION: Final = CORRELATION.encode()


class BusMiddleware:
    """ASGI middleware for an application whose requests publish.

    - ``request.state.bus`` is the bus.
    - Whatever is published or emitted while a request is handled is a child of it: its correlation
      id is the request's ``X-Correlation-ID``, else its ``X-Request-ID``, else a new one; its
      causation id is the ``X-Request-ID``, else a new one; its trace is that of ``traceparent`` and
      ``tracestate``. The same holds for websockets.
    - The answer has the correlation id as ``X-Correlation-ID``.
    - An error of the bus that the application does not handle is answered as ``problem_of`` says,
      and logged. What that says nothing of is raised on.

    ```python
    from busway import Bus
    from busway.asgi import BusMiddleware

    bus = Bus("memory://", service="shop")


    async def app(scope, receive, send):
        order = await scope["state"]["bus"].publish("order.placed", {"order_id": "o-1"})
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": order.id.encode()})


    app = BusMiddleware(app, bus)
    ```

    In FastAPI and Starlette: ``app.add_middleware(BusMiddleware, bus=bus)``.

    Cost: one envelope and two context variables for each request.

    Raises OptionError when it is given something else than a bus.
    """

    def __init__(self, app: ASGIApp, bus: Bus) -> None:
        if not isinstance(bus, Bus):
            raise OptionError(f"BusMiddleware(bus={bus!r}): it takes a Bus")
        self.app = app
        self.bus = bus

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})["bus"] = self.bus
        origin = origin_of(scope)
        answering = _Answering(send, origin.correlation_id)
        try:
            with caused_by(origin):
                await self.app(scope, receive, answering)
        except BuswayError as error:
            problem = problem_of(error)
            if problem is None or answering.started or scope["type"] != "http":
                raise
            # Its escapes are undone: a line break in it would begin a line of its own in the log.
            where = f"{scope.get('method')} {str(scope.get('path'))[:_LONGEST_PATH]!r}"
            _log.error("%s is answered with %d: %s", where, problem.status, error)
            await problem(scope, receive, answering)


class _Answering:
    """``send``, with the correlation id among the headers."""

    __slots__ = ("_correlation", "_send", "started")

    def __init__(self, send: Send, correlation_id: str) -> None:
        self._send = send
        self._correlation = correlation_id.encode("latin-1")
        self.started = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] in ("http.response.start", "websocket.accept"):
            self.started = True
            held = list(message.get("headers", ()))
            if all(name.lower() != _CORRELATION for name, _ in held):
                held.append((_CORRELATION, self._correlation))
            message = {**message, "headers": held}
        await self._send(message)
