"""Publishing: FastStream's last step, and the bus's first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from faststream.message import SourceType
from faststream.response import PublishCommand

from busway import Bus, Envelope, Message, OptionError, StateError

from ._command import BusPublishCommand
from ._compat import CodecProto, DefaultCodec, ParserComposition, ProducerProto
from ._data import plain
from ._message import REPLY_TO, BusMessage, trace_of

__all__ = ["BusProducer", "Reply", "parsed_reply"]

_OCTETS = "application/octet-stream"
_ALONE = frozenset({"delay", "id", "idempotency_key"})


class Reply:
    """Stands where a delivery stands: a reply was not lent by anybody."""

    attempt = 1
    lost = False
    fence = None


async def parsed_reply(message: Message[Any]) -> BusMessage:
    return BusMessage(message, path={}, source_type=SourceType.RESPONSE)


async def _decoded(message: BusMessage) -> Any:
    raw: Message[Any] = message.raw_message
    return plain(raw.envelope)


class BusProducer(ProducerProto[BusPublishCommand]):
    """Sends by ``bus.publish``: ids, correlation and what is a child of what are the bus's."""

    def __init__(
        self,
        bus: Bus,
        parser: Callable[..., Any] | None = None,
        decoder: Callable[..., Any] | None = None,
        codec: CodecProto | None = None,
    ) -> None:
        self.bus = bus
        self.connected = False
        self._parser = ParserComposition(parser, parsed_reply)
        self._decoder = ParserComposition(decoder, _decoded)
        self.codec: CodecProto = DefaultCodec()
        self._encodes = False
        if codec is not None:
            self.use(codec)

    def use(self, codec: CodecProto) -> None:
        """Let it encode what is published, in place of the bus."""
        self.codec, self._encodes = codec, True

    async def publish(self, cmd: PublishCommand) -> Envelope:
        """Returns what was sent. Raises what ``Bus.publish`` raises, and StateError before the
        broker was started."""
        self._check()
        event, options = await self.sealed(cmd, cmd.body)
        return await self.bus.publish(event, **options)

    async def publish_batch(self, cmd: PublishCommand) -> list[Envelope]:
        self._check()
        own = cmd.options if isinstance(cmd, BusPublishCommand) else {}
        if alone := sorted(_ALONE.intersection(own)):
            raise OptionError(
                f"publish_batch({', '.join(alone)}=): that is said of one event: publish each by "
                "itself"
            )
        events = [(await self.sealed(cmd, body))[0] for body in cmd.batch_bodies]
        return await self.bus.publish_many(events)

    async def request(self, cmd: PublishCommand) -> Message[Any]:
        self._check()
        event, _ = await self.sealed(cmd, cmd.body)
        timeout = cmd.timeout if isinstance(cmd, BusPublishCommand) else 30.0
        data = await self.bus.request(event, timeout=timeout)
        return self.reply_to(event, data)

    def reply_to(self, request: Envelope, data: Any) -> Message[Any]:
        """A request's answer, as FastStream's parser takes it."""
        reply = Envelope(
            f"{request.type}.reply",
            data,
            self.bus.service,
            request.timestamp,
            given_correlation_id=request.correlation_id,
            causation_id=request.id,
        )
        return Message(reply, data, "", Reply(), self.bus)

    async def sealed(self, cmd: PublishCommand, body: Any) -> tuple[Envelope, dict[str, Any]]:
        """The envelope of one event, and what is said of its sending."""
        options: dict[str, Any] = {}
        if isinstance(cmd, BusPublishCommand):
            options.update(cmd.options)
        when = {"delay": options.pop("delay")} if "delay" in options else {}
        headers = dict(cmd.headers)
        changes: dict[str, Any] = trace_of(headers)
        if isinstance(body, Envelope):
            # It is what it is; what middlewares put on it goes with it, and a trace is one thing.
            if headers:
                changes["headers"] = {**body.headers, **headers}
            # An id is made when it is asked for, and the copy has to have the same one.
            changes |= {"given_id": body.id} if changes else {}
            return (msgspec.structs.replace(body, **changes) if changes else body), when
        if cmd.reply_to:
            headers[REPLY_TO] = cmd.reply_to
        if headers:
            options["headers"] = headers
        if cmd.correlation_id:
            options["correlation_id"] = cmd.correlation_id
        data, kind = await self._encoded(body)
        envelope = self.envelope(cmd.destination, None if kind else data, options)
        if kind:
            changes |= {"data": msgspec.Raw(data), "content_type": kind}
        return (msgspec.structs.replace(envelope, **changes) if changes else envelope), when

    def envelope(self, topic: str, data: Any, options: dict[str, Any]) -> Envelope:
        """Inside of a handler it is a child of what is handled."""
        return self.bus.envelope(topic, data, **options)

    async def _encoded(self, body: Any) -> tuple[Any, str | None]:
        """The data, and of bytes what they are."""
        if self._encodes:
            data, kind = await self.codec.encode(body)
            return data, kind or _OCTETS
        if isinstance(body, bytes | bytearray):
            return bytes(body), _OCTETS
        return body, None

    def _check(self) -> None:
        if not self.connected:
            raise StateError(
                "the broker is not started: publish between `await broker.start()` and "
                "`await broker.stop()`, inside `async with broker:`, or while its app runs"
            )
