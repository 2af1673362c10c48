"""Redis for Busway: the same bus between processes, on Redis Streams."""

from __future__ import annotations

from ._client import options_of
from ._dedupe import RedisDedupe
from ._options import Options
from ._pubsub import PubSubTransport, open_pubsub
from ._transport import RedisTransport, open_redis

__all__ = [
    "Options",
    "PubSubTransport",
    "RedisDedupe",
    "RedisTransport",
    "open_pubsub",
    "open_redis",
    "options_of",
]
