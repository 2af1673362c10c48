"""The broker of the Kafka case, and where on it a run finds nothing."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.bench.brokers.events import GROUP
from tests.servers import KafkaServer

__all__ = ["PARTITIONS", "Place", "fresh", "place"]

PARTITIONS = 4
_numbers = itertools.count(1)


class Place(NamedTuple):
    """What a URL of Busway says, for a client that knows no URLs."""

    servers: str
    topic: str
    group: str


def place(url: str) -> Place:
    split = urlsplit(url)
    prefix = parse_qs(split.query)["prefix"][0]
    return Place(split.netloc, f"{prefix}{GROUP}", f"{prefix}{GROUP}")


def fresh(server: KafkaServer, more: str = "", partitions: int = PARTITIONS) -> Callable[[], str]:
    """Makes an empty topic under a prefix of its own, removes all others, and answers with the URL.
    ``more`` is added to it."""

    def make() -> str:
        url = f"{server.url}?prefix=run{next(_numbers)}.&partitions={partitions}{more}"
        asyncio.run(_renew(server.servers, place(url).topic, partitions))
        return url

    return make


async def _renew(servers: str, topic: str, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        old = [name for name in await admin.list_topics() if not name.startswith("__")]
        if old:
            await admin.delete_topics(old)
        await admin.create_topics([NewTopic(topic, partitions, 1)])
    finally:
        await admin.close()
