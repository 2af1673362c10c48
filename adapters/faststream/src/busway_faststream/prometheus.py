"""FastStream's Prometheus middleware for ``BusBroker``: ``faststream[prometheus]``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from faststream import StreamMessage
from faststream.prometheus import ConsumeAttrs, MetricsSettingsProvider
from faststream.prometheus.middleware import PrometheusMiddleware
from faststream.response import PublishCommand

from .broker import BusBatchMessage

__all__ = ["BusPrometheusMiddleware"]


class _Settings(MetricsSettingsProvider[Any, PublishCommand]):
    """What a metric says of an event."""

    messaging_system = "busway"

    def get_consume_attrs_from_message(self, msg: StreamMessage[Any]) -> ConsumeAttrs:
        raw: Any = msg.raw_message
        body: Any = msg.body
        is_batch = isinstance(msg, BusBatchMessage)
        return {
            "destination_name": (raw[0] if is_batch else raw).topic,
            "message_size": sum(map(len, body)) if is_batch else len(body),
            "messages_count": len(raw) if is_batch else 1,
        }

    def get_publish_destination_name_from_cmd(self, cmd: PublishCommand) -> str:
        return cmd.destination


class BusPrometheusMiddleware(PrometheusMiddleware[Any, PublishCommand]):
    """Counts and times what is published and handled.

    ``BusBroker(url, middlewares=[BusPrometheusMiddleware(registry=registry)])``

    Args:
        registry: A ``CollectorRegistry`` of ``prometheus_client``.
        app_name: A label; else ``metrics_prefix``.
        metrics_prefix: What every name begins with.
        received_messages_size_buckets: Bytes.
        custom_labels: Further labels, or functions of a message.
    """

    def __init__(
        self,
        *,
        registry: Any,
        app_name: str | None = None,
        metrics_prefix: str = "faststream",
        received_messages_size_buckets: Sequence[float] | None = None,
        custom_labels: dict[str, str | Callable[[Any], str]] | None = None,
    ) -> None:
        super().__init__(
            settings_provider_factory=lambda _: _Settings(),
            registry=registry,
            app_name=app_name or metrics_prefix,
            metrics_prefix=metrics_prefix,
            received_messages_size_buckets=received_messages_size_buckets,
            custom_labels=custom_labels,
        )
