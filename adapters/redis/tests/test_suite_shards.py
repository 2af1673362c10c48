"""The whole suite on channels of four shards, each leased to one member of a group."""

from __future__ import annotations

from busway.testing import BusSuite, TransportSuite

from .redis_suite import RedisHooks

__all__: list[str] = []


class TestShards(RedisHooks, TransportSuite):
    url_options = "&shards=4"


class TestShardsBus(RedisHooks, BusSuite):
    url_options = "&shards=4"
