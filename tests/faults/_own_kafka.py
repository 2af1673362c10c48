"""Three Kafkas of a fault run's own."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence

from tests.servers import KafkaCluster

from ._broker import Hop, unsure_of
from ._commits import Commits
from ._schedule import KAFKA_DECK, Kind

__all__ = ["OwnKafka"]


class OwnKafka:
    """A cluster that was started here; ``query`` are the URL's options. Each process comes through
    proxies of its own, one before each broker, as long as the cluster has ways left for it."""

    ordered = True
    deck: Mapping[Kind, int] = KAFKA_DECK

    def __init__(self, cluster: KafkaCluster, query: str) -> None:
        self.cluster = cluster
        self.url = f"{cluster.url}{query}"
        self.unsure = unsure_of(self.url)
        self.details: Sequence[str] = [str(each.number) for each in cluster.nodes]
        found = re.search(r"[?&]prefix=([^&]*)", query)
        self.commits: Commits | None = Commits(cluster.servers, found[1] if found else "busway.")
        self._query = query

    def hops(self, number: int) -> Sequence[Hop]:
        nodes = self.cluster.nodes
        if number >= len(nodes[0].ways):
            return []
        ways = [each.ways[number] for each in nodes]
        return [Hop("127.0.0.1", way.inner, way.outer) for way in ways]

    def through(self, number: int, ports: Sequence[int]) -> str:
        return f"kafka://{self.cluster.outside(number)}/{self._query}"

    def restart(self, down: float, detail: str) -> None:
        """``detail``: the number of the broker. It returns when the cluster is whole again, so that
        there are never two that are away."""
        node = self.cluster.node(int(detail))
        node.kill()
        time.sleep(down)
        node.start()
        self.cluster.wait_until_whole()

    def roll(self) -> None:
        self.cluster.roll()

    def sockets(self) -> int | None:
        """Who leads what decides how many there are."""
        return None
