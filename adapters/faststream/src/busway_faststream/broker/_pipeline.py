"""FastStream's pipeline for the usual case, with nothing made for a message that can be made once.

The usual case is one handler without a filter, in whatever middlewares. What happens is what
``SubscriberUsecase.process_message`` makes happen, in the same order; everything else goes through
that one itself.
"""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

from faststream.exceptions import IgnoredException
from faststream.response import Response

from .._conversation import BusMiddleware
from ._compat import default_filter
from ._solving import solver_of

if TYPE_CHECKING:
    from ._subscriber import BusSubscriber

__all__ = ["Pipeline"]


_NONE: list[Any] = []


class Pipeline:
    """One subscriber's, as it was when its handler was resolved."""

    def __init__(self, subscriber: BusSubscriber) -> None:
        config = subscriber.outer
        (call,) = subscriber.calls
        assert call.parser is not None
        assert call.decoder is not None
        self._subscriber = subscriber
        self._call = call
        self._parser, self._decoder = call.parser, call.decoder
        self.context = config.context
        self._log = config.logger
        self.told_of = subscriber.get_log_context
        self._solve = (
            solver_of(call) if config.fd_config.use_fastdepends else call.handler.call_wrapped
        )
        self._always = (("handler_", subscriber), *config.extra_context.items())
        # A lifespan puts it around every broker. Here the bus itself does what it does.
        self._around = [each for each in config.broker_middlewares if each is not BusMiddleware]

    @staticmethod
    def of(subscriber: BusSubscriber) -> Pipeline | None:
        """None where this is not the usual case."""
        if len(subscriber.calls) != 1:
            return None
        call = subscriber.calls[0]
        usual = call.filter is default_filter and call.parser == subscriber.parse_message
        return Pipeline(subscriber) if usual else None

    async def run(self, raw: Any) -> Response:
        """Raises what the handler raises, unless a middleware swallows it."""
        if self._around:
            return await _Layers(self).run(raw)
        message = await self.parsed(raw)
        told = self.told_of(message)
        with self.scope(("log_context", told), ("message", message)):
            self.say("Received", told)
            try:
                return await self.call(message, _NONE)
            except BaseException as error:
                self.say_failed(error, told)
                raise
            finally:
                self.say("Processed", told)

    def scope(self, *more: tuple[str, Any]) -> Any:
        """The context of one message."""
        return self.context.scopes((*self._always, ("logger", self._log.logger.logger), *more))

    async def parsed(self, raw: Any) -> Any:
        message = await self._parser(raw)
        message.set_decoder(self._decoder)
        return message

    async def call(self, message: Any, layers: list[Any]) -> Response:
        """The handler within these middlewares, and its publishers, as well."""
        if self._call.handler.is_test:
            consuming = (each.consume_scope for each in reversed(layers))
            returned = await self._call.call(message=message, _extra_middlewares=consuming)
        elif layers:
            handle = self._solve
            for each in reversed(layers):
                handle = partial(each.consume_scope, handle)
            returned = await handle(message)
        else:
            returned = await self._solve(message)
        result = returned if isinstance(returned, Response) else Response(returned)
        publishers: list[Any] = self._call.handler._publishers  # pyright: ignore[reportPrivateUsage]
        answers = self._subscriber.answers(message)
        if publishers or answers:
            await self._pass_on(result, message, layers, [*answers, *publishers])
        return result

    async def _pass_on(
        self, result: Response, message: Any, layers: list[Any], publishers: list[Any]
    ) -> None:
        if not result.correlation_id:
            result.correlation_id = message.correlation_id
        for each in publishers:
            scopes = [layer.publish_scope for layer in reversed(layers)]
            await each._publish(result.as_publish_command(), _extra_middlewares=scopes)

    def say(self, what: str, told: dict[str, str]) -> None:
        """In the access log."""
        self._log.log(what, extra=told)

    def say_failed(self, error: BaseException, told: dict[str, str]) -> None:
        if isinstance(error, IgnoredException):
            self._log.log(str(error), extra=told)
        else:
            self._log.log(
                f"{type(error).__name__}: {error}", logging.ERROR, extra=told, exc_info=error
            )

    def layer(self, place: int, raw: Any) -> AbstractAsyncContextManager[Any, bool] | None:
        """The middleware of one message at this place, the first outermost; None behind the
        last."""
        if place == len(self._around):
            return None
        made: Any = self._around[place](raw, context=self.context)
        layer: AbstractAsyncContextManager[Any, bool] = made
        return layer


class _Layers:
    """One message on its way through the middlewares."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._entered: list[Any] = []
        self._told: dict[str, str] = {}
        self._scope: Any = None

    async def run(self, raw: Any) -> Response:
        pipeline = self._pipeline
        with pipeline.scope():
            try:
                return await self._through(raw)
            except BaseException as error:
                pipeline.say_failed(error, self._told)
                raise
            finally:
                pipeline.say("Processed", self._told)
                if self._scope is not None:
                    self._scope.__exit__()

    async def _through(self, raw: Any) -> Response:
        layer = self._pipeline.layer(len(self._entered), raw)
        if layer is None:
            return await self._innermost(raw)
        self._entered.append(layer)
        async with layer:
            return await self._through(raw)
        # It swallowed an error.
        return Response(None)

    async def _innermost(self, raw: Any) -> Response:
        pipeline = self._pipeline
        message = await pipeline.parsed(raw)
        told = self._told = pipeline.told_of(message)
        # Middlewares look at the message when they are left, too: it ends with all of them.
        scope = pipeline.context.scopes((("log_context", told), ("message", message)))
        scope.__enter__()
        self._scope = scope
        pipeline.say("Received", told)
        return await pipeline.call(message, self._entered)
