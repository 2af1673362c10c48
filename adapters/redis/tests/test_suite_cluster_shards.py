"""The whole suite on channels of four shards, on a cluster."""

from __future__ import annotations

from busway.testing import BusSuite, TransportSuite

from .test_suite_cluster import ClusterHooks, cluster

__all__ = ["cluster"]


class TestClusterShards(ClusterHooks, TransportSuite):
    url_options = "&shards=4"


class TestClusterShardsBus(ClusterHooks, BusSuite):
    url_options = "&shards=4"
