"""The whole suite on channels of four shards, behind Sentinels."""

from __future__ import annotations

from busway.testing import BusSuite, TransportSuite

from .test_suite_sentinel import SentinelHooks, sentinel

__all__ = ["sentinel"]


class TestSentinelShards(SentinelHooks, TransportSuite):
    url_options = "&shards=4"


class TestSentinelShardsBus(SentinelHooks, BusSuite):
    url_options = "&shards=4"
