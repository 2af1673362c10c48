"""Correlation and trace across the border: what a handler on one side publishes on the other
belongs to the conversation that it is handling."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from faststream import BaseMiddleware, PublishCommand, StreamMessage
from faststream.message import SourceType, gen_cor_id

from busway.middleware import cause, caused_by

from ._tracing import in_trace
from ._wire import parent_of, trace_of

__all__ = ["BusMiddleware", "correlation_id"]


class BusMiddleware(BaseMiddleware[PublishCommand, Any]):
    """A middleware of FastStream's brokers: ``RedisBroker(url, middlewares=[BusMiddleware])``.

    What a handler of FastStream's publishes on a bus is a child of its message: it has that
    message's correlation id and trace context, and its id as the causation id. What a handler of
    the bus publishes by the broker carries the trace context of its event; give the broker
    ``id_generator=correlation_id``, too, and it carries the correlation id.

    ``lifespan=bus.lifespan`` puts it around every broker of the app that does not have it. By hand,
    it stands before a ``TelemetryMiddleware`` of FastStream's: its spans then belong to the trace.

    Cost: two context variables and an envelope, per message.
    """

    __slots__ = ()

    async def consume_scope(
        self, call_next: Callable[[StreamMessage[Any]], Awaitable[Any]], msg: StreamMessage[Any]
    ) -> Any:
        known = cause()
        if msg.source_type is not SourceType.CONSUME or (
            known is not None and known.correlation_id == msg.correlation_id
        ):
            return await call_next(msg)
        with caused_by(parent_of(msg)):
            return await call_next(msg)

    async def publish_scope(
        self, call_next: Callable[[PublishCommand], Awaitable[Any]], cmd: PublishCommand
    ) -> Any:
        known = cause()
        trace = {} if known is None else trace_of(known)
        cmd.add_headers(dict(trace), override=False)
        with in_trace(trace):
            return await call_next(cmd)


def correlation_id() -> str:
    """The correlation id of the event or message that is being handled here, else a new one:
    ``RedisBroker(url, id_generator=correlation_id)``.

    FastStream asks for it when ``publish`` was given none.
    """
    known = cause()
    return gen_cor_id() if known is None else known.correlation_id
