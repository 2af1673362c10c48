"""Kafka for Busway: ``kafka://…`` in the URL, or a ``KafkaTransport`` from code."""

from __future__ import annotations

from ._options import Options as Options
from ._transport import KafkaTransport as KafkaTransport
from ._transport import open_kafka as open_kafka

__all__ = ["KafkaTransport", "Options", "open_kafka"]
