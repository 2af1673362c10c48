"""The whole suite on one Redis."""

from __future__ import annotations

from busway.testing import BusSuite, TransportSuite

from .redis_suite import RedisHooks

__all__: list[str] = []


class TestRedis(RedisHooks, TransportSuite):
    pass


class TestRedisBus(RedisHooks, BusSuite):
    pass
