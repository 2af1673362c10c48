"""Events by pattern for browsers: an endpoint of Server-Sent Events."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final

import anyio

from .._bus import Bus
from .._declared import declaration_of
from ..errors import OptionError, StateError
from ._asked import Asked, asked, asked_of
from ._entry import BEAT, Render, gap, place_of, shown, wait
from ._hub import Hub
from ._problem import Problem, problem_of
from ._ring import Ring
from ._scope import Receive, Scope, Send

__all__ = ["EventStream"]

_log: Final = logging.getLogger("busway.asgi")
_AT_ONCE: Final = 65_536
_UNKNOWN: Final = "the last event that was seen is not kept any more"
_NOT_HERE: Final = Problem(
    503, "Not ready", "The bus runs in this process without this stream (start, only=...)."
)
_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    # nginx would otherwise collect what is sent.
    "x-accel-buffering": "no",
}


class EventStream:
    """Tells browsers what happens: every event that matches, as Server-Sent Events.

    ```python
    from busway import Bus
    from busway.asgi import EventStream

    bus = Bus("memory://?history=1000", service="shop")
    live = EventStream(bus, "order.*")  # an ASGI app
    ```

    Mount it in FastAPI and Starlette with ``app.mount("/live", live)``; in an endpoint of your own,
    give ``live.body(...)`` to a streaming response. Make it once, before the bus starts: it is one
    broadcast subscription of this process, however many look on, and begins with the bus.

    A browser gets ``{"id", "type", "time", "subject", "data"}`` as JSON, unless ``render`` says
    otherwise. It may ask for less by ``?topic=order.paid``, a pattern, as often as it likes.

    - **Resuming.** Each event has an id, and a browser that lost its connection asks for what
      follows the last one (``Last-Event-ID``). The last ``keep`` events are kept in this process
      and, where the transport keeps history (power ``Browses``), read from there when somebody had
      the last one from another process, or before a restart; then some may come twice, told by
      their ``id``.
    - **Slow browsers** cost nothing but their connection: one that falls more than ``keep`` events
      behind is told so by an event ``busway.gap``, with ``{"missed", "why"}``, and goes on with the
      oldest that is kept. So is one whose last event is not known any more. One that takes nothing
      for ``patience`` seconds is disconnected.
    - **Ending.** A comment every ``heartbeat`` seconds finds out who is gone. When the bus has
      stopped, what is left is sent and the streams end; browsers ask again by themselves after
      ``retry`` seconds, and give up when the answer is an error.

    Args:
        bus: Whose events.
        patterns: Patterns, or declared classes.
        keep: Events kept in this process. It bounds their number, not their bytes: a thousand
            events of 1 MB are 1 GB.
        render: From an envelope to what is shown of it, encoded as JSON; None leaves it out.
        named: Browsers get events by topic (``addEventListener("order.paid", ...)``), and not by
            ``onmessage``.
        heartbeat: Seconds.
        retry: Seconds.
        patience: Seconds.

    Raises PatternError, EventError, OptionError; StateError for a bus that only publishes, or that
    runs already.
    """

    def __init__(
        self,
        bus: Bus,
        *patterns: str | type,
        keep: int = 1000,
        render: Render = shown,
        named: bool = False,
        heartbeat: float = 15.0,
        retry: float = 3.0,
        patience: float = 60.0,
    ) -> None:
        if not isinstance(bus, Bus):
            raise OptionError(f"EventStream({bus!r}): it takes a Bus, and patterns after it")
        if not patterns:
            raise OptionError('EventStream(): say which events: patterns, or "**" for everything')
        if not isinstance(keep, int) or isinstance(keep, bool) or keep < 1:
            raise OptionError(f"keep={keep!r}: it takes a whole number of 1 or more")
        for name, seconds in (("heartbeat", heartbeat), ("retry", retry), ("patience", patience)):
            if not 0 < seconds < float("inf"):
                raise OptionError(f"{name}={seconds!r}: it takes more than 0 seconds")
        self.bus = bus
        self.patterns = tuple(_topic_of(each) for each in patterns)
        self.headers: dict[str, str] = dict(_HEADERS)
        """What goes before ``body``."""
        self.watching = 0
        """How many look on."""
        self._heartbeat = heartbeat
        self._retry = retry
        self._patience = patience
        self._hub = Hub(bus, self.patterns, keep, render, named=named)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003})
            return
        if scope["type"] != "http":
            raise OptionError(f"EventStream: it is mounted in an app; {scope['type']} is the app's")
        what = asked_of(scope, self.patterns)
        if not self.bus.running:
            what = problem_of(StateError()) or what
        elif not self._hub.receives:
            what = _NOT_HERE
        if isinstance(what, Problem):
            await what(scope, receive, send)
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_when_gone, receive, tasks.cancel_scope)
            await self._answer(what if scope["method"] == "GET" else None, send)
            tasks.cancel_scope.cancel()

    def body(
        self, *, last_event_id: str | None = None, topics: Sequence[str] = ()
    ) -> AsyncGenerator[bytes]:
        """What is sent, piece by piece, for a streaming response of your framework. Send
        ``headers`` before it.

        Raises OptionError for what a browser cannot ask for, and StateError when the bus does not
        run, or not with the group of this stream: both at once, so that the request can be
        answered.
        """
        what = asked(last_event_id, topics, self.patterns)
        if isinstance(what, Problem):
            raise OptionError(f"{what.title}: {what.detail}")
        if not self.bus.running:
            raise StateError("the bus does not run: there is nothing to stream")
        if not self._hub.receives:
            group = self._hub.subscription.group
            raise StateError(f"group {group!r} was not started here: only= left the stream out")
        return self._body(what)

    async def _body(self, what: Asked) -> AsyncGenerator[bytes]:
        hub, ring = self._hub, self._hub.ring
        self.watching += 1
        try:
            place = ring.end
            if what.after is None:
                yield wait(self._retry) + place_of(ring.run, place, ring.before(place))
            else:
                yield wait(self._retry) + b"\n"
                found = await hub.place_after(what.after)
                if hub.ring is not ring:
                    return  # the bus has stopped and started: a number of the new order
                if found is None:
                    # With the place, or who is told would be told again when it comes back.
                    yield gap(None, _UNKNOWN) + place_of(ring.run, place, ring.before(place))
                else:
                    place = found
            async with aclosing(self._from(ring, place, what)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self.watching -= 1

    async def _from(self, ring: Ring, place: int, what: Asked) -> AsyncGenerator[bytes]:
        said = anyio.current_time()
        while True:
            if place < ring.first:
                yield gap(ring.first - place, "the connection was too slow")
                place = ring.first
            piece, place = ring.read(place, _AT_ONCE, what.wanted)
            if not piece:
                if ring.closed:
                    return
                left = said + self._heartbeat - anyio.current_time()
                if left > 0:
                    await self._hub.wait(left)
                    continue
                piece = BEAT + place_of(ring.run, place, ring.before(place))
            yield piece
            said = anyio.current_time()

    async def _answer(self, what: Asked | None, send: Send) -> None:
        """The head, what is asked for if anything is, and the end."""
        raw = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        start = {"type": "http.response.start", "status": 200, "headers": raw}
        if not await self._taken(send, start):
            return
        if what is not None:
            async with aclosing(self._body(what)) as pieces:
                async for piece in pieces:
                    message = {"type": "http.response.body", "body": piece, "more_body": True}
                    if not await self._taken(send, message):
                        return
        await self._taken(send, {"type": "http.response.body", "body": b""})

    async def _taken(self, send: Send, message: dict[str, Any]) -> bool:
        """Whether somebody is there and takes it in time."""
        try:
            with anyio.move_on_after(self._patience) as patience:
                await send(message)
        except OSError:
            return False  # the server says so that nobody is there any more (ASGI 2.4)
        if patience.cancelled_caught:
            _log.warning("event stream: a browser took nothing for %g s", self._patience)
        return not patience.cancelled_caught

    def __repr__(self) -> str:
        return f"<EventStream of {', '.join(self.patterns)}: {self.watching} look on>"


async def _end_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _topic_of(given: str | type) -> str:
    """A pattern, or the topic of a class; what is neither is refused when it is subscribed."""
    declared = declaration_of(given) if isinstance(given, type) else None
    return given if declared is None else declared.topic  # type: ignore[return-value]
