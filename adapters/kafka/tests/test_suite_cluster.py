"""The whole suite on three Kafkas that are one, with three copies of twelve partitions."""

from __future__ import annotations

import pytest

from busway.testing import BusSuite, TransportSuite
from tests.servers import KafkaCluster

from .kafka_suite import KafkaHooks

__all__: list[str] = []

pytestmark = pytest.mark.timeout(120)


class ClusterHooks(KafkaHooks):
    patience = 20.0
    partitions = 12
    lease = 3.0

    @pytest.fixture
    def server(self, kafka_cluster: KafkaCluster) -> KafkaCluster:  # type: ignore[override]
        return kafka_cluster


class TestCluster(ClusterHooks, TransportSuite):
    pass


class TestClusterBus(ClusterHooks, BusSuite):
    pass
