"""Which groups there are, and how far they are.

Kafka keeps where a group is in each partition, with our note beside it; it does not know what is
lent to whom. What is lent in this process is counted here; what other processes have counts as
waiting, and ``pending`` is None where there are others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, TypeVar

from aiokafka.protocol.admin import ListGroupsRequest

from busway.transport import GroupState, Purpose

from ._client import Client
from ._coordinating import Described, described
from ._errors import checked
from ._measuring import Here, Measuring, Seen
from ._names import Names
from ._offsets import committed
from ._reading import Place, begins_of, ends_of
from ._shelf import Shelf

__all__ = ["UNREAD", "Groups"]

T = TypeVar("T")

UNREAD: Final = "unread"
"""Stands beside an offset in a channel that a group may never read."""
_OFFSETS: Final = "__consumer_offsets"
_PROTOCOL: Final = "busway"
_SIDE_BY_SIDE: Final = 20


class Groups:
    """The groups under one prefix."""

    def __init__(
        self,
        client: Client,
        names: Names,
        shelf: Shelf,
        here: Callable[[str], Here],
        members_here: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._client = client
        self._names = names
        self._measuring = Measuring(client, names, shelf)
        self._here = here
        self._members_here = members_here

    async def states(self) -> list[GroupState]:
        """Raises TransportError."""
        await self._client.refresh()
        found = await self._groups()
        topics = {name: self._topics_of(name, far) for name, (_, far) in found.items()}
        all_of_them = {topic: None for each in topics.values() for topic in each}
        ends = await ends_of(self._client, all_of_them)
        begins = await begins_of(self._client, all_of_them)
        states: list[GroupState] = []
        for name, (said, far) in sorted(found.items()):
            seen = Seen(name, said.members, self._here(name), far, begins, ends)
            states.append(await self._measuring.state(seen, topics[name]))
        return states

    async def _groups(self) -> dict[str, tuple[Described, Mapping[Place, tuple[int, str]]]]:
        """Those of ours: a group that is to last has said so beside the meta topic's offset, and
        any other has members who speak as we do."""
        # Of a member that Kafka has not let in yet it knows nothing.
        ours = self._members_here()
        listed = [n for n in map(self._names.group_of, await self._listed()) if n is not None]
        names = sorted({*listed, *ours})

        async def one(name: str) -> tuple[Described, Mapping[Place, tuple[int, str]]]:
            kafka_id = self._names.group(name)
            return (
                await described(self._client, kafka_id),
                await committed(self._client, kafka_id),
            )

        told = dict(zip(names, await _together([one(name) for name in names]), strict=True))
        meta = self._names.meta, 0
        return {
            name: (said, far)
            for name, (said, far) in told.items()
            if said.protocol == _PROTOCOL or meta in far or name in ours
        }

    async def _listed(self) -> list[str]:
        """Every group of the cluster: each is known to the broker that looks after it."""
        nodes = {node for node in self._client.leaders.get(_OFFSETS, {}).values() if node >= 0}
        # Who may not see where Kafka keeps its groups can ask everybody all the same.
        nodes = nodes or set(self._client.nodes)
        found: dict[str, None] = {}
        for node in sorted(nodes):
            said = await self._client.ask(node, ListGroupsRequest())
            checked(said.error_code, "asking which groups there are")
            found |= dict.fromkeys(group for group, *_ in said.groups)
        return sorted(found)

    def _topics_of(self, name: str, far: Mapping[Place, tuple[int, str]]) -> list[str]:
        """What a group reads: the channels it has begun, or is about to, and what is its own."""
        begun = {topic for (topic, _), (_, text) in far.items() if text != UNREAD}
        here = self._here(name)
        found: list[str] = []
        for topic in self._client.leaders:
            theirs = self._names.address_of(topic)
            if theirs is None:
                continue
            address = theirs[0]
            if address.purpose is not Purpose.EVENT:
                mine = address.group == name and address.purpose is not Purpose.DEAD
            else:
                mine = topic in begun or address.channel in here.channels
                mine = mine or (here.everywhere and self._names.channel_of(topic) is not None)
            if mine:
                found.append(topic)
        return found


async def _together(calls: Sequence[Awaitable[T]]) -> list[T]:
    """All of them, some at a time."""
    found: list[T] = []
    for first in range(0, len(calls), _SIDE_BY_SIDE):
        found += await asyncio.gather(*calls[first : first + _SIDE_BY_SIDE])
    return found
