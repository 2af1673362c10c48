"""What the tests of FastStream apps have in common."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

import anyio
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faststream.redis import StreamSub

from tests.facts import PATIENCE

__all__ = ["eventually", "fresh", "fresh_topic", "kafka_servers", "stream"]

_numbers = itertools.count()


def fresh(name: str) -> str:
    """A name that no other test has on the same server."""
    return f"{name}-{os.getpid()}-{next(_numbers)}"


def stream(name: str, group: str = "g", **options: Any) -> StreamSub:
    return StreamSub(name, group=group, consumer="c", **options)


async def eventually(fact: Callable[[], object]) -> None:
    """Wait for a fact that nobody announces."""
    with anyio.fail_after(PATIENCE):
        while not fact():
            await anyio.sleep(0.005)


def kafka_servers(url: str) -> str:
    """What FastStream calls the servers of a URL of ours."""
    return url.partition("://")[2].partition("?")[0].rstrip("/")


async def fresh_topic(servers: str, name: str) -> str:
    """A topic that no other test has, made: not every version of FastStream makes one."""
    topic = fresh(name)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()
    return topic
