"""The suite's hooks over a real Redis."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

from busway.testing.suite import SuiteBase
from busway.transport import Feed, Transport
from busway_redis import open_redis
from busway_redis._feed import RedisFeed
from busway_redis._transport import RedisTransport
from tests.servers import RedisServer

__all__ = ["LEASE", "RedisHooks"]

LEASE = 2.0


class RedisHooks(SuiteBase):
    """Each test has a prefix of its own on the run's server."""

    patience = 10.0
    silence = 0.3
    url_options = ""

    @pytest.fixture(autouse=True)
    def _server(self, redis_server: RedisServer) -> None:
        self.server = redis_server

    @pytest.fixture
    def transport(self, redis_server: RedisServer) -> Transport:
        return self.opened(redis_server.url)

    def opened(self, url: str) -> RedisTransport:
        """A transport for one test."""
        mark = "&" if "?" in url else "?"
        prefix = f"t{uuid.uuid4().hex[:8]}"
        # Nearly as long a deadline as such a lease allows: the machines that run this are slow, and
        # what looks whether it is kept has to have its turn within a third of the lease, too.
        own = f"prefix={prefix}&lease={LEASE:g}s&timeout=600ms{self.url_options}"
        return open_redis(f"{url}{mark}{own}")

    async def abandon(self, transport: Transport, feed: Feed) -> None:
        assert isinstance(transport, RedisTransport)
        assert isinstance(feed, RedisFeed)
        await feed.listening.die()
        # Until nothing of it was looked after for a lease.
        group, member = feed.group.name, feed.member
        while True:
            idle: list[int] = []
            for key in feed.sources:
                pending = await transport.call(key, "XPENDING", key, group, "-", "+", 1000, member)
                idle += [each[2] for each in pending]
            if all(each >= LEASE * 1000 for each in idle):
                return
            await anyio.sleep(0.02)

    async def corrupt(self, transport: Transport, channel: str, data: bytes) -> None:
        assert isinstance(transport, RedisTransport)
        await transport.call(transport.keys.channels, "SADD", transport.keys.channels, channel)
        key = transport.keys.stream(channel)
        await transport.call(key, "XADD", key, "*", "event", data)

    def outage(self, transport: Transport) -> AbstractAsyncContextManager[Any]:
        return self._outage()

    @asynccontextmanager
    async def _outage(self) -> AsyncGenerator[None]:
        await anyio.to_thread.run_sync(self.server.kill)
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(self.server.start)

    def stalled(self, transport: Transport) -> AbstractAsyncContextManager[Any]:
        return self._stalled()

    @asynccontextmanager
    async def _stalled(self) -> AsyncGenerator[None]:
        await anyio.to_thread.run_sync(self.server.pause)
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(self.server.resume)
