"""What a Kafka has and what its groups said of themselves, seen by a client that is not ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import confluent_kafka
import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from confluent_kafka import TopicPartition

from ._ledger import Far, Ledger, Lies, Place

__all__ = ["Commits", "Unread"]

PATIENCE = 10.0


class Unread(Exception):
    """The cluster did not say it in time."""


class _Data(msgspec.Struct):
    event: str = ""


class _Value(msgspec.Struct):
    data: _Data = msgspec.field(default_factory=_Data)


class _Note(msgspec.Struct):
    done: tuple[tuple[int, int], ...] = ()


class Seen(NamedTuple):
    """What each group had said, and then what lies where."""

    far: Mapping[str, Mapping[Place, Far]]
    records: list[Lies]


class Commits:
    """Of one cluster. All of it blocks."""

    def __init__(self, servers: str, prefix: str) -> None:
        self.ledger = Ledger()
        self._servers = servers
        self._settings: dict[str, Any] = {
            "bootstrap.servers": servers,
            "enable.auto.commit": False,
            "group.id": "nobody",
            "log_level": 0,
        }
        self._prefix = prefix

    def look(self, groups: tuple[str, ...]) -> Seen:
        """Raises Unread."""
        try:
            far = asyncio.run(self._far(groups))
            return Seen(far, list(self._records(far)))
        except (KafkaError, OSError) as error:
            raise Unread(f"{type(error).__name__}: {error}") from error

    async def _far(self, groups: tuple[str, ...]) -> dict[str, dict[Place, Far]]:
        # What librdkafka gives of the text beside an offset may have no end.
        client: Any = AIOKafkaAdminClient(bootstrap_servers=self._servers)
        found: dict[str, dict[Place, Far]] = {}
        async with asyncio.timeout(PATIENCE):
            await client.start()
            try:
                for group in groups:
                    said = await client.list_consumer_group_offsets(f"{self._prefix}{group}")
                    found[group] = {
                        (place.topic, place.partition): Far(far.offset, _done(far))
                        for place, far in said.items()
                        if self._counts(place.topic)
                    }
            finally:
                await client.close()
        return found

    def _counts(self, topic: str) -> bool:
        """Not the dead letters, and what is known of topics."""
        return not topic.endswith(".dead") and topic != f"{self._prefix}__busway"

    def _records(self, far: Mapping[str, Mapping[Place, Far]]) -> Iterator[Lies]:
        """All below the furthest that any group has said, from where the last look ended."""
        goals: dict[Place, int] = {}
        for places in far.values():
            for place, (offset, done) in places.items():
                end = max([offset, *(last + 1 for _, last in done)])
                if end > self.ledger.next(place):
                    goals[place] = max(goals.get(place, 0), end)
        client: Any = confluent_kafka.Consumer(self._settings)
        try:
            client.assign([TopicPartition(*place, self.ledger.next(place)) for place in goals])
            until = time.monotonic() + PATIENCE
            while goals:
                messages = client.consume(1000, timeout=0.5)
                for message in messages:
                    if message.error() is not None:
                        continue
                    place, offset = (message.topic(), message.partition()), message.offset()
                    yield Lies(place, offset, _event(message.value()))
                    if place in goals and offset + 1 >= goals[place]:
                        del goals[place]
                if messages:
                    until = time.monotonic() + PATIENCE
                elif time.monotonic() > until:
                    raise Unread(f"nothing more of {sorted(goals)}")
        finally:
            client.close()


def _done(said: Any) -> tuple[tuple[int, int], ...]:
    if not said.metadata:
        return ()
    note = msgspec.json.decode(said.metadata, type=_Note)
    return tuple((said.offset + first, said.offset + last) for first, last in note.done)


def _event(value: bytes | None) -> str:
    return msgspec.json.decode(value or b"{}", type=_Value).data.event
