"""The parts of the adapter below the transport, on a real Kafka, each time under another prefix."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.protocol.commit import OffsetCommitRequest

from busway import Envelope
from busway.codec import JsonCodec
from busway.transport import Address, Browsed, Outgoing, Purpose, Raw, Story, Written
from busway_kafka._batch import Entry
from busway_kafka._browsing import Browsing
from busway_kafka._charting import Charting
from busway_kafka._client import Client
from busway_kafka._coordinating import ask_coordinator
from busway_kafka._groups import Groups
from busway_kafka._measuring import Here
from busway_kafka._moving import Moving
from busway_kafka._murmur import partition_of
from busway_kafka._names import Names
from busway_kafka._producing import Producer
from busway_kafka._reading import Place
from busway_kafka._shelf import Shelf
from busway_kafka._topics import Topics
from busway_kafka._url import parse
from busway_kafka._wire import written

__all__ = ["World", "world"]


class World:
    """One process's view of it."""

    def __init__(self, url: str, prefix: str, **own: Any) -> None:
        self.options = parse(url, prefix=prefix, **own)
        self.names = Names(prefix)
        self.client = Client(self.options)
        self.producer = Producer(self.client)
        self.topics = Topics(self.client, self.options, self.names, lambda: None)
        self.shelf = Shelf(self.client, self.producer)
        self.browsing = Browsing(self.client, self.names, self.shelf)
        self.charting = Charting(self.client, self.names, self.producer)
        self.here = Here()
        self.groups = Groups(self.client, self.names, self.shelf, lambda _: self.here)
        self.moving = Moving(self.client, self.names)

    async def send(self, address: Address, *contents: Any, tier: str = "now", **beside: Any) -> str:
        """Envelopes of these data (or Raws), all of one key; the topic that they lie in."""
        topic, width = await self.topics.ensure(address, tier)
        entries: list[Entry] = []
        for content in contents:
            sent = content if isinstance(content, Raw) else Envelope("t", content, "s", 1.5e9, "k")
            key, value, headers = written(Outgoing(sent, address, JsonCodec(), **beside))
            number = partition_of(key or b"", width)
            if address.purpose is Purpose.DEAD:
                key = uuid.uuid4().hex.encode()
            entries.append(Entry(topic, number, key, value, headers))
        outcomes = await self.producer.write(entries, time.monotonic() + 10)
        assert all(isinstance(each, Written) for each in outcomes), outcomes
        return topic

    async def commit(self, group: str, offsets: Mapping[Place, tuple[int, str]]) -> None:
        """As if a member that has left since had done so."""
        kafka_id = self.names.group(group)
        topics = [(topic, [(n, *said)]) for (topic, n), said in offsets.items()]
        request = OffsetCommitRequest(kafka_id, -1, "", -1, topics)
        said = await ask_coordinator(
            self.client, kafka_id, request, lambda s: [c for _, p in s.topics for _, c in p]
        )
        assert all(not code for _, parts in said.topics for _, code in parts), said

    async def begin(self, group: str) -> None:
        """A group that is to last, and has read nothing."""
        await self.topics.ensure_meta()
        await self.commit(group, {(self.names.meta, 0): (0, "")})

    async def browse(self, address: Address, after: str | None = None) -> list[Browsed]:
        return [each async for each in self.browsing.browse(address, after)]


def data_of(entries: Sequence[Browsed]) -> list[Any]:
    import json

    found: list[Any] = []
    for entry in entries:
        content = entry.content
        found.append(content.data if isinstance(content, Raw) else json.loads(bytes(content.data)))
    return found


@asynccontextmanager
async def world(url: str, prefix: str | None = None, **own: Any) -> AsyncIterator[World]:
    made = World(url, prefix or f"t{uuid.uuid4().hex[:10]}.", **own)
    await made.client.open()
    try:
        yield made
    finally:
        await made.producer.close()
        await made.client.close()
        await asyncio.sleep(0)


STORY = Story("billing", "charge", 3, reason="no")
