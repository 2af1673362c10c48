"""The suite's hooks over a real Kafka."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

from busway import TransportError
from busway.testing.suite import SuiteBase
from busway.transport import Address, Feed, Transport
from busway_kafka import KafkaTransport, open_kafka
from busway_kafka._batch import Entry
from busway_kafka._feed import KafkaFeed
from tests.servers import KafkaCluster, KafkaServer

__all__ = ["LEASE", "KafkaHooks"]

LEASE = 3.0


class KafkaHooks(SuiteBase):
    """Each test has a prefix of its own on one of the run's servers."""

    patience = 12.0
    silence = 0.6
    partitions = 4
    lease = LEASE
    url_options = ""

    @pytest.fixture
    def server(self, kafka_server: KafkaServer) -> KafkaServer | KafkaCluster:
        return kafka_server

    @pytest.fixture(autouse=True)
    def _server(self, server: KafkaServer | KafkaCluster) -> None:
        self._broker = server

    @pytest.fixture
    async def transport(self, server: KafkaServer | KafkaCluster) -> AsyncIterator[Transport]:
        transport = self.opened(server.url)
        yield transport
        await forget(transport)

    def opened(self, url: str) -> KafkaTransport:
        """A transport for one test."""
        # As long a deadline as such a lease allows: the machines that run this are slow.
        times = f"lease={self.lease:g}s&timeout={self.lease * 325:g}ms&metadata_age=300ms"
        own = f"prefix=t{uuid.uuid4().hex[:8]}.&partitions={self.partitions}"
        return open_kafka(f"{url}?{own}&{times}{self.url_options}")

    async def abandon(self, transport: Transport, feed: Feed) -> None:
        assert isinstance(transport, KafkaTransport)
        assert isinstance(feed, KafkaFeed)
        await feed.die()
        # Until the broker has given up on it.
        while True:
            try:
                claims = await transport.claims(feed.group.name)
            except TransportError:
                continue  # others wait for it, too
            if feed.group.member not in [claim.member for claim in claims]:
                return
            await anyio.sleep(0.02)

    async def corrupt(self, transport: Transport, channel: str, data: bytes) -> None:
        assert isinstance(transport, KafkaTransport)
        topic, _ = await transport.topics.ensure(Address(channel))
        await transport.producer.write([Entry(topic, 0, None, data, [])], anyio.current_time() + 10)

    def outage(self, transport: Transport) -> AbstractAsyncContextManager[Any]:
        return self._outage()

    @asynccontextmanager
    async def _outage(self) -> AsyncGenerator[None]:
        await anyio.to_thread.run_sync(self._broker.kill)
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(self._broker.start)

    def stalled(self, transport: Transport) -> AbstractAsyncContextManager[Any]:
        return self._stalled()

    @asynccontextmanager
    async def _stalled(self) -> AsyncGenerator[None]:
        await anyio.to_thread.run_sync(self._broker.pause)
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(self._broker.resume)


async def forget(transport: KafkaTransport) -> None:
    """Remove what a test left, so that the server stays quick."""
    async with transport:
        await transport.topics.remove_all()
