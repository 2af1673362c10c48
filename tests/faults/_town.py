"""A bus on Kafka whose handler can be held back, and an operator beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import confluent_kafka
import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from busway import Bus, Message, Subscription, TransportError
from busway_kafka import open_kafka
from tests.servers import KafkaCluster, KafkaServer

__all__ = ["IN_TIME", "LEASE", "PATIENCE", "Town", "entered", "town"]

PATIENCE = 20.0
LEASE = 3.0
IN_TIME = 3.0
"""Seconds that a publish may take."""


class Town:
    """It handles what it is published, as the group ``see``; ``url`` is whereby it comes when not
    straight, ``own`` are options of the URL."""

    def __init__(
        self, kafka: KafkaServer | KafkaCluster, prefix: str, url: str = "", **own: str
    ) -> None:
        self.kafka = kafka
        self.prefix = f"{prefix}."
        self.topic = f"{prefix}.red"
        self.seen: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        options = {"lease": f"{LEASE:g}s", "metadata_age": "300ms", "partitions": "1", **own}
        begin = url or kafka.url
        between = "&" if "?" in begin else "?"
        self.url = f"{begin}{between}{urlencode({**options, 'prefix': self.prefix})}"
        self.begun: list[str] = []
        self.transport: Any = open_kafka(self.url)
        self.bus = Bus(self.transport, service="shop", publish_timeout=IN_TIME)
        self.subscription = self.listens(self.bus)
        self.admin: Any = AIOKafkaAdminClient(bootstrap_servers=kafka.servers)
        self._changed = asyncio.Condition()

    def listens(self, bus: Bus) -> Subscription:
        return bus.add(self.handle, "red.*", group="see", concurrency=4)

    def another(self) -> Bus:
        """Another process, as far as Kafka can tell."""
        bus = Bus(self.url, service="shop", publish_timeout=IN_TIME)
        self.listens(bus)
        return bus

    async def handle(self, data: dict[str, str], message: Message[Any]) -> None:
        async with self._changed:
            self.begun.append(data["name"])
            self._changed.notify_all()
        await self.gate.wait()
        async with self._changed:
            self.seen.append(data["name"])
            self._changed.notify_all()

    async def publish(self, *names: str) -> None:
        for name in names:
            await self.bus.publish("red.done", {"name": name}, key=name)

    async def handled(self, names: Sequence[str]) -> None:
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: set(names) <= set(self.seen))

    async def begins(self, count: int) -> None:
        """Until so many were begun."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: len(self.begun) >= count)

    async def at_the_end(self) -> None:
        """Until nothing waits for the group, as the broker has it."""
        async with asyncio.timeout(PATIENCE):
            while not await self._is_at_the_end():
                await asyncio.sleep(0.05)

    async def _is_at_the_end(self) -> bool:
        try:
            (state,) = [each for each in await self.bus.groups() if each.name == "see"]
        except TransportError:
            return False  # nobody can tell now
        # What others have in hand is not known here: it waits for them to commit it, as lag.
        return state.lag == 0 and not state.pending

    async def configure(self, **settings: str) -> None:
        """Of the topic, and nothing beside these is its own then."""
        said = {name.replace("_", "."): value for name, value in settings.items()}
        changed = ConfigResource(ConfigResourceType.TOPIC, self.topic, said)
        for answer in await self.admin.alter_configs([changed]):
            assert [code for code, *_ in answer.resources] == [0]

    async def written(self) -> list[str]:
        """What lies in the topic now, partition by partition, seen by a client that is not ours."""
        return await asyncio.to_thread(_names_in, self.kafka.servers, self.topic)


def _names_in(servers: str, topic: str) -> list[str]:
    settings = {"bootstrap.servers": servers, "group.id": "nobody", "enable.partition.eof": True}
    client: Any = confluent_kafka.Consumer(settings)
    found: list[str] = []
    try:
        width = len(client.list_topics(topic, timeout=PATIENCE).topics[topic].partitions)
        for number in range(width):
            client.assign([confluent_kafka.TopicPartition(topic, number, 0)])
            while True:
                record = client.poll(PATIENCE)
                assert record is not None, "the broker says nothing"
                if record.error() is not None:
                    assert record.error().code() == confluent_kafka.KafkaError._PARTITION_EOF
                    break
                found.append(msgspec.json.decode(record.value())["data"]["name"])
    finally:
        client.close()
    return found


@asynccontextmanager
async def town(
    kafka: KafkaServer | KafkaCluster, request: pytest.FixtureRequest, url: str = "", **own: str
) -> AsyncGenerator[Town]:
    prefix = "".join(each if each.isalnum() else "-" for each in request.node.name)[-60:]
    found = Town(kafka, prefix, url, **own)
    # Who is the first to ask a cluster for one waits longer than a bus is willing to.
    find = kafka.coordinator if isinstance(kafka, KafkaServer) else kafka.coordinator_of
    await asyncio.to_thread(find, f"{prefix}.see")
    async with AsyncExitStack() as stack:
        await entered(stack, lambda: found.bus)
        await found.admin.start()
        stack.push_async_callback(found.admin.close)
        await found.publish("first")
        await found.handled(["first"])
        yield found
        found.gate.set()


async def entered(stack: AsyncExitStack, bus: Callable[[], Bus]) -> None:
    """As a program that is started again until it runs: who has just come up is slow."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await stack.enter_async_context(bus())
            except TransportError:
                await asyncio.sleep(0.1)
            else:
                return
