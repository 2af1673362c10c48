"""What a Kafka has and what its groups said of themselves, seen by a client that is not ours."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import confluent_kafka
import msgspec
from confluent_kafka import KafkaException, TopicPartition

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
        self._settings: dict[str, Any] = {
            "bootstrap.servers": servers,
            "enable.auto.commit": False,
            "log_level": 0,
        }
        self._prefix = prefix

    def look(self, groups: tuple[str, ...]) -> Seen:
        """Raises Unread."""
        try:
            with self._client("") as client:
                topics = self._topics(client)
            far = {group: self._far(group, topics) for group in groups}
            return Seen(far, list(self._records(far)))
        except KafkaException as error:
            raise Unread(str(error)) from error

    @contextlib.contextmanager
    def _client(self, group: str) -> Iterator[Any]:
        settings = {**self._settings, "group.id": f"{self._prefix}{group}"}
        client = confluent_kafka.Consumer(settings)
        try:
            yield client
        finally:
            client.close()

    def _topics(self, client: Any) -> dict[str, int]:
        """With how many partitions they have; not the dead letters and what is known of topics."""
        said = client.list_topics(timeout=PATIENCE)
        return {
            name: len(topic.partitions)
            for name, topic in said.topics.items()
            if name.startswith(self._prefix)
            and not name.endswith(".dead")
            and name != f"{self._prefix}__busway"
        }

    def _far(self, group: str, topics: Mapping[str, int]) -> dict[Place, Far]:
        places = [TopicPartition(name, n) for name, width in topics.items() for n in range(width)]
        with self._client(group) as client:
            said = client.committed(places, timeout=PATIENCE)
        found: dict[Place, Far] = {}
        for each in said:
            if each.error is not None:
                raise Unread(str(each.error))
            if each.offset >= 0:
                found[each.topic, each.partition] = Far(each.offset, _done(each))
        return found

    def _records(self, far: Mapping[str, Mapping[Place, Far]]) -> Iterator[Lies]:
        """All below the furthest that any group has said, from where the last look ended."""
        goals: dict[Place, int] = {}
        for places in far.values():
            for place, (offset, done) in places.items():
                end = max([offset, *(last + 1 for _, last in done)])
                if end > self.ledger.next(place):
                    goals[place] = max(goals.get(place, 0), end)
        with self._client("") as client:
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


def _done(said: Any) -> tuple[tuple[int, int], ...]:
    if not said.metadata:
        return ()
    note = msgspec.json.decode(said.metadata, type=_Note)
    return tuple((said.offset + first, said.offset + last) for first, last in note.done)


def _event(value: bytes | None) -> str:
    return msgspec.json.decode(value or b"{}", type=_Value).data.event
