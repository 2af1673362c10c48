"""The whole suite on a master behind Sentinels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from busway.testing import BusSuite, TransportSuite
from busway.transport import Transport
from tests.servers import RedisSentinel
from tests.servers.plugin import started_or_skip

from .redis_suite import RedisHooks

__all__: list[str] = []


@pytest.fixture(scope="module")
def sentinel() -> Iterator[RedisSentinel]:
    # So slow to replace a master that one that is killed comes back: what a failover loses is lost.
    with started_or_skip(lambda: RedisSentinel(down_after=60.0)) as servers:
        yield servers


class SentinelHooks(RedisHooks):
    @pytest.fixture(autouse=True)
    def _server(self, sentinel: RedisSentinel) -> None:  # type: ignore[override]
        self.server = sentinel.master

    @pytest.fixture
    def transport(self, sentinel: RedisSentinel) -> Transport:  # type: ignore[override]
        return self.opened(sentinel.url)


class TestSentinel(SentinelHooks, TransportSuite):
    pass


class TestSentinelBus(SentinelHooks, BusSuite):
    pass
