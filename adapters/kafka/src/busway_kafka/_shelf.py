"""Dead letters: those that are there, and their end.

A letter is a record whose key is the letter's own, in a topic that is compacted; who discards it
writes a record of the same key without a value. So neither a discard nor compaction ever touches
another letter. Which letters live is only known after all of the topic was looked at: that is kept,
and looked through from where it ended, as long as somebody asks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from busway import TransportError
from busway.transport import Written

from ._batch import Entry
from ._client import Client
from ._producing import Producer
from ._reading import Place, ends_of, pages

__all__ = ["Shelf"]

_KEPT: Final = 30.0
"""Seconds after which what nobody asked for is looked through anew: the topic may have been removed
and made again, and nothing of Kafka's says so."""


class _Index:
    """The letters of one partition of a topic of dead letters."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.next = 0
        """Where to look on."""
        self.used = time.monotonic()
        self.keys: dict[int, bytes] = {}
        """Of each that lives, by its offset, ascending."""
        self._offsets: dict[bytes, int] = {}

    def add(self, record: Any) -> None:
        # Without a key: of a topic that somebody made without compaction. It lives for good.
        key: bytes = b"%d" % record.offset if record.key is None else record.key
        before = self._offsets.pop(key, None)
        if before is not None:
            self.keys.pop(before, None)
        if record.value is not None:
            self._offsets[key] = record.offset
            self.keys[record.offset] = key


class Shelf:
    """The dead letters of all groups, seen from one transport."""

    def __init__(self, client: Client, producer: Producer) -> None:
        self._client = client
        self._producer = producer
        self._indexes: dict[Place, _Index] = {}

    async def count(self, topics: list[str]) -> dict[str, int]:
        """How many letters each of these topics holds."""
        found = dict.fromkeys(topics, 0)
        for place, end in (await ends_of(self._client, topics)).items():
            found[place[0]] += len((await self._looked_through(place, end)).keys)
        return found

    async def letters(self, place: Place, first: int, end: int) -> AsyncIterator[Any]:
        """The records of those that live, in order."""
        index = await self._looked_through(place, end)
        if not index.keys or next(reversed(index.keys)) < first:
            return
        async for page in pages(self._client, place, first, end):
            index.used = time.monotonic()
            for record in page:
                if record.offset in index.keys:
                    yield record

    async def discard(self, place: Place, offset: int) -> bool:
        """False: it is not there. Raises TransportError."""
        end = (await ends_of(self._client, [place[0]])).get(place)
        if end is None:
            return False
        index = await self._looked_through(place, end)
        key = index.keys.get(offset)
        if key is None:
            return False
        entry = Entry(*place, key, None, [])
        until = time.monotonic() + self._client.timeout
        (outcome,) = await self._producer.write([entry], until)
        if not isinstance(outcome, Written):
            error = outcome.error
            raise TransportError(f"a dead letter was not removed: {error}") from error
        # Who discards it once more meanwhile finds it gone, whether or not we have read that.
        index.keys.pop(offset, None)
        return True

    async def _looked_through(self, place: Place, end: int) -> _Index:
        """What is known of a partition, as of an end that was just asked for."""
        index = self._indexes.get(place)
        now = time.monotonic()
        if index is None or end < index.next or now - index.used > _KEPT:
            index = self._indexes[place] = _Index()
        index.used = now
        async with index.lock:
            async for page in pages(self._client, place, index.next, end):
                for record in page:
                    index.add(record)
                index.next = page[-1].offset + 1
            index.next = max(index.next, end)
        return index
