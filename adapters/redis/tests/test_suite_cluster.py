"""The whole suite on a cluster of three masters and three replicas."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import anyio
import pytest

from busway.testing import BusSuite, TransportSuite
from busway.transport import Transport
from tests.servers import RedisCluster
from tests.servers.plugin import started_or_skip

from .redis_suite import RedisHooks

__all__: list[str] = []


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with started_or_skip(RedisCluster) as servers:
        yield servers


class ClusterHooks(RedisHooks):
    patience = 15.0

    @pytest.fixture(autouse=True)
    def _server(self, cluster: RedisCluster) -> None:  # type: ignore[override]
        self.cluster = cluster

    @pytest.fixture
    def transport(self, cluster: RedisCluster) -> Transport:  # type: ignore[override]
        return self.opened(cluster.url)

    @asynccontextmanager
    async def _outage(self) -> AsyncGenerator[None]:
        for server in self.cluster.servers:
            await anyio.to_thread.run_sync(server.kill)
        try:
            yield
        finally:
            for server in self.cluster.servers:
                await anyio.to_thread.run_sync(server.start)
            await anyio.to_thread.run_sync(self.cluster.wait_until_whole)

    @asynccontextmanager
    async def _stalled(self) -> AsyncGenerator[None]:
        for server in self.cluster.servers:
            await anyio.to_thread.run_sync(server.pause)
        try:
            yield
        finally:
            for server in self.cluster.servers:
                await anyio.to_thread.run_sync(server.resume)
            # What stood still is taken for dead by the others, until they have heard of it again.
            await anyio.to_thread.run_sync(self.cluster.wait_until_whole)


class TestCluster(ClusterHooks, TransportSuite):
    pass


class TestClusterBus(ClusterHooks, BusSuite):
    pass
