"""Reading an address without a group and without effect: dead letters, and what is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from busway import OptionError
from busway.transport import Address, Browsed, Purpose

from ._client import Client
from ._names import Names
from ._reading import Place, begins_of, ends_of, pages
from ._shelf import Shelf
from ._tiers import TIERS
from ._wire import read

__all__ = ["Browsing"]

_TIERS: Final = tuple(TIERS)


class Browsing:
    """The topics under one prefix, as pages.

    A position is the number of a partition and an offset, with leading zeros, so that positions
    sort as text; of retries the tier stands before it. One partition comes after the other.
    """

    def __init__(self, client: Client, names: Names, shelf: Shelf) -> None:
        self._client = client
        self._names = names
        self._shelf = shelf

    async def addresses(self, purpose: Purpose, group: str | None) -> list[Address]:
        await self._client.refresh()
        found: dict[Address, None] = {}
        for topic in sorted(self._client.leaders):
            theirs = self._names.address_of(topic)
            if theirs is not None and theirs[0].purpose is purpose and theirs[0].group == group:
                found[theirs[0]] = None
        return list(found)

    async def browse(self, address: Address, after: str | None) -> AsyncIterator[Browsed]:
        await self._client.refresh()
        since = None if after is None else _taken_apart(after)
        for number, (topic, tier) in enumerate(self._topics(address)):
            places = await self._places(topic)
            for place, (first, end) in places.items():
                start = first
                if since is not None:
                    here = (number, place[1])
                    if here < since[:2]:
                        continue
                    start = since[2] + 1 if here == since[:2] else first
                async for record in self._records(address, place, max(first, start), end):
                    yield _browsed(record, f"{tier}{place[1]:05d}-{record.offset:019d}", address)

    def _topics(self, address: Address) -> list[tuple[str, str]]:
        """Where it may lie, each with what its positions begin with."""
        if address.purpose is not Purpose.RETRY:
            return [(self._names.topic(address), "")]
        return [(self._names.topic(address, tier), f"{n}-") for n, tier in enumerate(_TIERS)]

    async def _places(self, topic: str) -> dict[Place, tuple[int, int]]:
        """Where each partition begins and ends now."""
        ends = await ends_of(self._client, [topic])
        if not ends:
            return {}
        begins = await begins_of(self._client, [topic])
        return {place: (begins[place], ends[place]) for place in sorted(ends)}

    async def _records(
        self, address: Address, place: Place, first: int, end: int
    ) -> AsyncIterator[Any]:
        if address.purpose is Purpose.DEAD:
            async for record in self._shelf.letters(place, first, end):
                yield record
            return
        async for page in pages(self._client, place, first, end):
            for record in page:
                yield record

    async def discard(self, address: Address, position: str) -> bool:
        """Remove a dead letter; False when it is not there."""
        if address.purpose is not Purpose.DEAD:
            raise OptionError(
                f"{address}: Kafka can remove dead letters one by one, and nothing else"
            )
        _, number, offset = _taken_apart(position)
        topic = self._names.topic(address)
        if number >= self._client.partitions(topic):
            await self._client.refresh()
        return await self._shelf.discard((topic, number), offset)


def _browsed(record: Any, position: str, address: Address) -> Browsed:
    # The key of a letter is the letter's own.
    key = None if address.purpose is Purpose.DEAD else record.key
    said = read(key, record.value, record.headers)
    return Browsed(position, said.content, said.story, said.attempt)


def _taken_apart(position: str) -> tuple[int, int, int]:
    """The number of the topic, of the partition, and the offset. Raises OptionError."""
    parts = position.split("-")
    if len(parts) not in (2, 3) or not all(part.isdecimal() for part in parts):
        raise OptionError(f"{position!r} is no position of Kafka's")
    tier, partition, offset = (int(part) for part in ["0", *parts][-3:])
    return tier, partition, offset
