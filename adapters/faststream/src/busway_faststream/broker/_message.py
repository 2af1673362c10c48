"""What a handler of FastStream's sees of what travelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from faststream import Context, StreamMessage
from faststream.message import AckStatus, SourceType

from busway import Envelope, Message

from ._data import bytes_of

__all__ = ["REPLY_TO", "BusBatchMessage", "BusMessage", "MessageDep", "Settled", "trace_of"]

REPLY_TO = "reply-to"
"""The header that names the topic a handler's result goes to, beside the bus's own requests."""

Settled = Callable[[Any, AckStatus], None]
"""Told what a handler said by ``ack``, ``nack`` or ``reject``."""

_UNKNOWN = object()


class BusMessage(StreamMessage[Any]):
    """One event in FastStream's pipeline; ``raw_message`` is the bus's own ``Message``.

    What is seldom asked for (the ids, the headers, the bytes) is made when it is: most handlers
    only want the event. ``ack``, ``nack`` and ``reject`` say what shall become of the event, and
    the bus does it when the handler has returned.
    """

    def __init__(
        self,
        raw: Any,
        *,
        path: dict[str, Any],
        settled: Settled | None = None,
        source_type: SourceType = SourceType.CONSUME,
    ) -> None:
        # Not that of the base: it would make ids and headers that nobody may ask for.
        self.raw_message = raw
        self.path = path
        self.source_type = source_type
        self.committed = None
        self.processed = False
        self._settled = settled
        self._decoder: Callable[[Any], Awaitable[Any]] | None = None
        self._decoded: dict[Any, Any] = {}

    def __getattr__(self, name: str) -> Any:
        make = _MADE_LATE.get(name)
        if make is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        value = make(self)
        # The body is not kept: one that was set (by a middleware) is told by that.
        if name != "body":
            setattr(self, name, value)
        return value

    @property
    def has_own_body(self) -> bool:
        """Whether somebody has put another body in place of what travelled."""
        return "body" in self.__dict__

    def set_decoder(self, decoder: Callable[[Any], Awaitable[Any]]) -> None:
        self._decoder = decoder

    def clear_cache(self) -> None:
        self._decoded.clear()

    def __copy__(self) -> BusMessage:
        copied = self.__class__.__new__(self.__class__)
        copied.__dict__.update(self.__dict__)
        copied._decoded = {}
        return copied

    async def decode(self) -> Any:
        decoder = self._decoder
        assert decoder is not None, "set_decoder() comes first"
        found = self._decoded.get(decoder, _UNKNOWN)
        if found is _UNKNOWN:
            found = self._decoded[decoder] = await decoder(self)
        return found

    def on_settled(self, settled: Settled) -> None:
        """Tell somebody else what is said of the event."""
        self._settled = settled

    async def ack(self) -> None:
        """The event is done, whatever its handler does from here on."""
        self._say(AckStatus.ACKED)

    async def nack(self) -> None:
        """The attempt has failed: the event is tried again as its retry policy says."""
        self._say(AckStatus.NACKED)

    async def reject(self) -> None:
        """The event will never succeed: it goes to the dead letters."""
        self._say(AckStatus.REJECTED)

    def _say(self, status: AckStatus) -> None:
        if self.committed is None:
            self.committed = status
            if self._settled is not None:
                self._settled(self.raw_message, status)


class BusBatchMessage(BusMessage):
    """Several events that are handled by one call; ``raw_message`` is a list of ``Message``."""

    @property
    def first(self) -> Message[Any]:
        batch: Sequence[Message[Any]] = self.raw_message
        return batch[0]


MessageDep = Annotated[BusMessage, Context("message")]
"""A parameter of a handler that is annotated so is given the message."""


def _envelope(message: BusMessage) -> Envelope:
    if isinstance(message, BusBatchMessage):
        return message.first.envelope
    raw: Message[Any] = message.raw_message
    return raw.envelope


def _body(message: BusMessage) -> Any:
    if isinstance(message, BusBatchMessage):
        return [bytes_of(each.envelope) for each in message.raw_message]
    return bytes_of(_envelope(message))


def _headers(message: BusMessage) -> dict[str, Any]:
    return headers_of(_envelope(message))


def headers_of(envelope: Envelope) -> dict[str, Any]:
    """The application's headers, and with them the trace, where FastStream looks for it."""
    headers: dict[str, Any] = dict(envelope.headers)
    if envelope.traceparent is not None:
        headers["traceparent"] = envelope.traceparent
    if envelope.tracestate is not None:
        headers["tracestate"] = envelope.tracestate
    return headers


def trace_of(headers: dict[str, Any]) -> dict[str, str]:
    """Take the trace out of headers: on the bus it is a part of the envelope."""
    return {name: headers.pop(name) for name in ("traceparent", "tracestate") if name in headers}


def _batch_headers(message: BusMessage) -> list[dict[str, Any]]:
    if not isinstance(message, BusBatchMessage):
        return []
    return [
        {**headers_of(each.envelope), "correlation_id": each.correlation_id}
        for each in message.raw_message
    ]


_MADE_LATE: dict[str, Callable[[BusMessage], Any]] = {
    "batch_headers": _batch_headers,
    "body": _body,
    "content_type": lambda message: _envelope(message).content_type or "application/json",
    "correlation_id": lambda message: _envelope(message).correlation_id,
    "headers": _headers,
    "message_id": lambda message: _envelope(message).id,
    "reply_to": lambda message: _envelope(message).headers.get(REPLY_TO, ""),
}
