"""The publish side of the bus."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from time import time
from types import NoneType
from typing import Any, TypeVar, Unpack, cast, get_args, overload

import anyio

from ._context import current, inside, working_for
from ._convert import Converter, cached_converter, converter
from ._declared import declared_for
from ._host import State
from ._parts import Parts
from ._threads import FromThread
from .errors import (
    HandlerError,
    OptionError,
    RequestFailed,
    RequestTimeout,
    StateError,
    Undecodable,
)
from .message import Envelope, PublishOptions
from .transport import SystemClock

__all__ = ["Publishing"]

T = TypeVar("T")

# CPython 3.11 does not specialise a method call on an imported name, nor one on an attribute that
# is a function: on the hot path both are looked up first and called as plain names.
_here = working_for.get


class Publishing:
    """Publish, emit, request."""

    _parts: Parts

    def _prepare(self, parts: Parts) -> None:
        self._parts = parts
        self._host = parts.host
        # With a clock of the test's own nothing goes by express: there ``time`` is called as it is.
        system = type(parts.settings.clock) is SystemClock
        self._express = parts.sealer.express if system else {}
        """The classes whose events need nothing but an envelope; empty while the bus is not up, and
        for good where there is middleware or a hook."""
        self._service = parts.settings.service
        self._counters = parts.runtime.counters
        self.from_thread = FromThread(self.publish)
        """The bus for code in threads."""

    async def publish(
        self, event: object, data: object = None, /, **options: Unpack[PublishOptions]
    ) -> Envelope:
        """Publish an event; returns its envelope when the broker has it.

        ``event`` is an object of a class declared with ``@event``, a topic's name followed by its
        data, or an envelope made with ``envelope`` or ``child``, which is sent as it is. Inside a
        handler the new envelope is a child of the one being handled. See ``PublishOptions`` for the
        options.

        In one process this does not yield to other tasks unless a mailbox is full.

        Raises:
            PublishError: it was not sent. Its kinds: EncodeError, TooLarge.
            PublishUnknown: it may have been written.
            StateError: the bus is not running.
            TopicError, EventError, InvalidEvent, OptionError: it cannot be published at all.
        """
        if data is None and not options:
            try:
                route = self._express[type(event)]
            except KeyError:
                pass
            else:
                # Outside of a handler there is no parent.
                if _here() is None:
                    find, post = route.key, route.post
                    if find is None:
                        key = None
                    else:
                        key = find(event)
                        if type(key) is not str and key is not None:
                            key = str(key)
                    envelope = Envelope(route.topic, event, self._service, time(), key)
                    if post(envelope):
                        self._counters.published += 1
                        return envelope
                    await self._parts.publisher.send(envelope, route, None, waits=True)
                    return envelope
        self._check_running()
        return await self._parts.publisher.publish(event, data, options)

    async def publish_many(self, events: Iterable[object], /) -> list[Envelope]:
        """Publish several events, in their order, in as few writes as the broker allows.

        None is sent when one of them cannot be published at all. Raises PublishError or
        PublishUnknown, whose ``failed`` names the envelopes that did not surely arrive; all others
        did. Raises OptionError for what is no list of events.
        """
        self._check_running()
        given: object = events
        if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
            raise OptionError(
                f"publish_many({given!r}): it takes several events: publish_many([...]); one alone "
                "goes to publish()"
            )
        return await self._parts.publisher.publish_many(list(events))

    def envelope(
        self, event: object, data: object = None, /, **options: Unpack[PublishOptions]
    ) -> Envelope:
        """The envelope that ``publish`` would send, not sent. Raises what cannot be published."""
        return self._sealed(current.get(), event, data, options)

    def _child(
        self, parent: Envelope, event: object, data: object, options: PublishOptions
    ) -> Envelope:
        return self._sealed(parent, event, data, options)

    def _sealed(
        self, parent: Envelope | None, event: object, data: object, options: PublishOptions
    ) -> Envelope:
        if "delay" in options:
            raise OptionError("delay= belongs to publish(): an envelope says what, not when")
        sealed, _ = self._parts.sealer.seal(event, data, options, parent)
        return sealed

    def emit(
        self, event: object, data: object = None, /, **options: Unpack[PublishOptions]
    ) -> Envelope | None:
        """Publish for callers that must never be broken by events: it neither raises nor waits.

        A bounded buffer is sent in the background; what does not fit, cannot be an event, or cannot
        be sent is dropped, counted in ``stats().dropped`` and logged. None when it was no event.
        """
        return self._parts.emitter.emit(event, data, options)

    @overload
    async def request(
        self,
        event: object,
        data: object = None,
        /,
        *,
        returns: type[T],
        timeout: float = 30.0,
        **options: Unpack[PublishOptions],
    ) -> T: ...

    @overload
    async def request(
        self,
        event: object,
        data: object = None,
        /,
        *,
        returns: Any = Any,
        timeout: float = 30.0,
        **options: Unpack[PublishOptions],
    ) -> Any: ...

    async def request(
        self,
        event: object,
        data: object = None,
        /,
        *,
        returns: Any = Any,
        timeout: float = 30.0,
        **options: Unpack[PublishOptions],
    ) -> Any:
        """Publish and await one reply, the first: what the handler returned.

        Returns it as ``returns``, a type such as ``Price`` or ``list[Price]``; without it as
        builtins where it crossed a wire.

        A handler that is annotated ``-> None`` and gets the request by a wildcard pattern is an
        observer: it sends neither a reply nor a failure. One that gets it by its topic confirms
        with None; with ``returns`` such a confirmation is passed over.

        Raises:
            RequestTimeout: no reply within ``timeout`` seconds; it may still be handled.
            RequestFailed: the handler gave up: rejected it, or used up its retries; or the reply
                does not fit ``returns``.
            TransportError: the feed for replies cannot be opened.
            PublishError, PublishUnknown: as ``publish``.
        """
        self._check_running()
        if not timeout > 0:
            raise OptionError(f"timeout={timeout!r}: it takes more than 0 seconds")
        convert = _to_reply(returns)
        needs_answer = returns is not Any and NoneType not in (returns, *get_args(returns))
        deadline = anyio.current_time() + timeout
        if self._parts.replies_runner().consumer is None:
            with anyio.CancelScope(deadline=deadline) as limit:
                await self._open_replies()
            if limit.cancelled_caught:
                raise RequestTimeout(f"the feed for replies did not open within {timeout:g} s")
        reply = await self._parts.requests.request(
            event, data, timeout, deadline, options, needs_answer
        )
        try:
            return convert(reply)
        except Undecodable as error:
            raise RequestFailed(str(error), "Undecodable") from error

    async def _open_replies(self) -> None:
        """The first request opens the feed that replies come by."""
        runner = self._parts.replies_runner()
        if not runner.opening:
            self._host.inside.open_group_soon(runner)
        await runner.opened()

    def _check_running(self) -> None:
        state = self._host.state
        if state is State.RUNNING:
            return
        if state is State.STOPPING and inside():
            return  # what handlers publish while the bus drains belongs to what is drained
        raise StateError(
            f"the bus is {state.value}: publish inside `async with bus:`, or between start() and "
            "stop(). emit() takes events earlier and never raises"
        )


_as_it_came = converter(Any, declared_for)


def _to_reply(wanted: Any) -> Converter:
    if wanted is Any:
        return _as_it_came
    try:
        return cached_converter(cast("Hashable", wanted or NoneType))
    except (HandlerError, TypeError) as error:
        raise OptionError(f"returns={wanted!r}: it takes a type, such as Price: {error}") from error
