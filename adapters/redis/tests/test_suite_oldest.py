"""The suite on the oldest Redis that is supported."""

from __future__ import annotations

import sys

import pytest

from busway.testing import BusSuite, TransportSuite
from busway.transport import Transport
from tests.servers import OldestRedis, RedisServer, version

from .redis_suite import RedisHooks

__all__: list[str] = []

# Its build comes in a wheel, of which there is none for a newer Python.
pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="this Python has no build of Redis 6.2"
)


class OldestHooks(RedisHooks):
    @pytest.fixture(autouse=True)
    def _server(self, oldest_redis: OldestRedis) -> None:
        self.server: RedisServer = oldest_redis

    @pytest.fixture
    def transport(self, oldest_redis: OldestRedis) -> Transport:
        return self.opened(oldest_redis.url)


class TestOldest(OldestHooks, TransportSuite):
    pass


class TestOldestBus(OldestHooks, BusSuite):
    pass


def test_it_is_the_oldest(oldest_redis: OldestRedis) -> None:
    assert version(oldest_redis.program) == (6, 2)
