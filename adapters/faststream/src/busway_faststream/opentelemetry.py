"""FastStream's OpenTelemetry middleware for ``BusBroker``: ``pip install 'faststream[otel]'``."""

from __future__ import annotations

from typing import Any

from faststream import StreamMessage
from faststream.opentelemetry import TelemetryMiddleware, TelemetrySettingsProvider
from faststream.response import PublishCommand

from .broker import BusBatchMessage

__all__ = ["BusTelemetryMiddleware"]

_SYSTEM = "messaging.system"
_MESSAGE = "messaging.message.id"
_CONVERSATION = "messaging.message.conversation_id"
_SIZE = "messaging.message.payload_size_bytes"
_COUNT = "messaging.batch.message_count"
_DESTINATION = "messaging.destination.name"
_PUBLISHED_TO = "messaging.destination_publish.name"


class _Settings(TelemetrySettingsProvider[Any, PublishCommand]):
    """What a span says of an event."""

    messaging_system = "busway"

    def get_consume_attrs_from_message(self, msg: StreamMessage[Any]) -> dict[str, Any]:
        raw: Any = msg.raw_message
        body: Any = msg.body
        is_batch = isinstance(msg, BusBatchMessage)
        attributes = {
            _SYSTEM: self.messaging_system,
            _MESSAGE: msg.message_id,
            _CONVERSATION: msg.correlation_id,
            _SIZE: sum(map(len, body)) if is_batch else len(body),
            _PUBLISHED_TO: self.get_consume_destination_name(msg),
        }
        if is_batch:
            attributes[_COUNT] = len(raw)
        return attributes

    def get_consume_destination_name(self, msg: StreamMessage[Any]) -> str:
        raw: Any = msg.raw_message
        topic: str = (raw[0] if isinstance(msg, BusBatchMessage) else raw).topic
        return topic

    def get_publish_attrs_from_cmd(self, cmd: PublishCommand) -> dict[str, Any]:
        attributes = {_SYSTEM: self.messaging_system, _DESTINATION: cmd.destination}
        if cmd.correlation_id:
            attributes[_CONVERSATION] = cmd.correlation_id
        return attributes

    def get_publish_destination_name(self, cmd: PublishCommand) -> str:
        return cmd.destination


class BusTelemetryMiddleware(TelemetryMiddleware[PublishCommand]):
    """A span for each publish and for each event handled; one trace from one to the other.

    ``BusBroker(url, middlewares=[BusTelemetryMiddleware(tracer_provider=...)])``

    Args:
        tracer_provider, meter_provider, meter: Else the global ones.
        include_messages_counters: Count messages, too.
    """

    def __init__(
        self,
        *,
        tracer_provider: Any = None,
        meter_provider: Any = None,
        meter: Any = None,
        include_messages_counters: bool = True,
    ) -> None:
        super().__init__(
            settings_provider_factory=lambda _: _Settings(),
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
            meter=meter,
            include_messages_counters=include_messages_counters,
        )
