"""What the suite asks of a transport that keeps nothing, over real pub/sub."""

from __future__ import annotations

import uuid

import pytest

from busway.testing import TransportSuite
from busway.transport import Transport
from busway_redis import PubSubTransport
from tests.servers import RedisServer

from .redis_suite import RedisHooks

__all__ = ["TestPubSub"]


class TestPubSub(RedisHooks, TransportSuite):
    counts_deliveries = False
    keeps_history = False
    keeps_when_closed = False

    @pytest.fixture
    def transport(self, redis_server: RedisServer) -> Transport:
        url = redis_server.url.replace("redis://", "redis+pubsub://")
        return PubSubTransport(url, prefix=f"t{uuid.uuid4().hex[:8]}", timeout=1.0)

    async def corrupt(self, transport: Transport, channel: str, data: bytes) -> None:
        assert isinstance(transport, PubSubTransport)
        name = transport.names.events(channel)
        await transport.call(name, "PUBLISH", name, data)
