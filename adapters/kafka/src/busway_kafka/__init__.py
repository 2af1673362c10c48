"""Kafka for Busway: ``kafka://…`` in the URL, or a ``KafkaTransport`` from code."""

from __future__ import annotations

from ._foreign import Decoder as Decoder
from ._foreign import Foreign as Foreign
from ._numbers import PartitionState as PartitionState
from ._options import Options as Options
from ._transport import KafkaTransport as KafkaTransport
from ._transport import open_kafka as open_kafka

__all__ = ["Decoder", "Foreign", "KafkaTransport", "Options", "PartitionState", "open_kafka"]
