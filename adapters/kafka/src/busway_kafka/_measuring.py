"""How far one group is: what waits, what is lent, what it tries again, what it gave up on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Final, NamedTuple

from busway.transport import Address, ChannelState, GroupState, Purpose

from ._client import Client
from ._names import Names
from ._notes import Note
from ._reading import Place, pages
from ._shelf import Shelf
from ._tiers import NOW
from ._wire import read

__all__ = ["Here", "Measuring", "Seen"]


_FIRST_DUE: Final = 262_144
"""Bytes of each partition among which the first that is due is looked for."""


class Here(NamedTuple):
    """What this process knows of a group by itself."""

    members: int = 0
    """Of this process."""
    lent: Mapping[Place, int] = {}
    """Deliveries that they have now."""
    channels: Set[str] = frozenset()
    """What they read, or will as soon as they have found it."""
    everywhere: bool = False
    """They read every channel that wildcards follow."""


class Seen(NamedTuple):
    """A group as it was found."""

    name: str
    members: int
    here: Here
    far: Mapping[Place, tuple[int, str]]
    """What it has committed, with the notes."""
    begins: Mapping[Place, int]
    ends: Mapping[Place, int]

    @property
    def alone(self) -> bool:
        """Whether no other process has any of it."""
        return self.here.members >= self.members


class _Part(NamedTuple):
    """How far a group is in one partition."""

    place: Place
    waits: int
    """Offsets, to be exact: what compaction or a transaction took away counts, too."""
    lent: int
    position: int
    end: int
    committed: int
    note: Note

    def is_done(self, offset: int) -> bool:
        return self.note.is_done(offset - self.committed)


class Measuring:
    """The groups under one prefix, one at a time."""

    def __init__(self, client: Client, names: Names, shelf: Shelf) -> None:
        self._client = client
        self._names = names
        self._shelf = shelf

    async def state(self, seen: Seen, topics: Sequence[str]) -> GroupState:
        """``topics``: what it reads."""
        channels: list[ChannelState] = []
        waits = lent = delayed = 0
        due: list[float] = []
        for topic in topics:
            address, tier = self._address(topic)
            parts = _parts(seen, topic, self._client.partitions(topic))
            lent += sum(part.lent for part in parts)
            waiting = sum(part.waits for part in parts)
            if tier not in ("", NOW):
                delayed += waiting
                due += await self._dues(parts)
                continue
            waits += waiting
            if address.purpose is Purpose.EVENT:
                channels.append(await self._channel(address.channel, parts, alone=seen.alone))
        return GroupState(
            seen.name,
            seen.members,
            waits,
            lent if seen.alone else None,
            delayed,
            min(due, default=None),
            await self._dead(seen.name),
            min((each.oldest for each in channels if each.oldest is not None), default=None),
            tuple(sorted(channels, key=lambda each: each.name)),
        )

    async def _channel(self, name: str, parts: Sequence[_Part], *, alone: bool) -> ChannelState:
        first = [record for part in parts for record in (await self._first(part))[:1]]
        return ChannelState(
            name,
            sum(part.waits for part in parts),
            sum(part.lent for part in parts) if alone else None,
            min((record.timestamp / 1000 for record in first), default=None),
        )

    async def _dues(self, parts: Sequence[_Part]) -> list[float]:
        """When the first of each partition are due: all waited about as long, so they are nearly in
        order."""
        records = [record for part in parts for record in await self._first(part, _FIRST_DUE)]
        said = [read(each.key, each.value, each.headers) for each in records]
        return [each.due for each in said if each.due is not None]

    async def _first(self, part: _Part, most: int = 1) -> list[Any]:
        """Some of the first records that are not done: one batch, or so many bytes of them."""
        if part.waits or part.lent:
            async for page in pages(self._client, part.place, part.position, part.end, most=most):
                if left := [each for each in page if not part.is_done(each.offset)]:
                    return left
        return []

    async def _dead(self, group: str) -> int:
        topics: list[str] = []
        for topic in self._client.leaders:
            found = self._names.address_of(topic)
            if found is not None and found[0].purpose is Purpose.DEAD and found[0].group == group:
                topics.append(topic)
        return sum((await self._shelf.count(topics)).values())

    def _address(self, topic: str) -> tuple[Address, str]:
        found = self._names.address_of(topic)
        assert found is not None
        return found


def _parts(seen: Seen, topic: str, width: int) -> list[_Part]:
    found: list[_Part] = []
    for place in ((topic, number) for number in range(width)):
        if place not in seen.ends:  # there only since we looked
            continue
        begin, end = seen.begins[place], seen.ends[place]
        offset, text = seen.far.get(place, (begin, ""))
        note = Note.of(text)
        position = max(begin, offset)
        done = sum(
            1 + last - max(first, position - offset)
            for first, last in note.done
            if last >= position - offset
        )
        left = max(0, end - position - done)
        lent = min(left, seen.here.lent.get(place, 0))
        found.append(_Part(place, left - lent, lent, position, end, offset, note))
    return found
