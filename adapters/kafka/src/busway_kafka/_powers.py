"""What a transport over Kafka can do beyond sending and listening, each within the deadline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import anyio

from busway import TransportError
from busway.transport import Address, Browsed, GroupState, Purpose, Start

from ._browsing import Browsing
from ._charting import Charting
from ._client import Client
from ._feed import KafkaFeed
from ._groups import Groups
from ._measuring import Here
from ._moving import Moving
from ._names import Names
from ._producing import Producer
from ._reading import Place
from ._shelf import Shelf
from ._topics import Topics

__all__ = ["Powers"]


_log = logging.getLogger("busway.kafka")


class Powers:
    """Of one transport. ``feeds``: those open in this process."""

    def __init__(
        self,
        client: Client,
        names: Names,
        producer: Producer,
        topics: Topics,
        feeds: Callable[[], Iterable[KafkaFeed]],
    ) -> None:
        self._client = client
        self._topics = topics
        self._feeds = feeds
        shelf = Shelf(client, producer)
        self._browsing = Browsing(client, names, shelf)
        self._charting = Charting(client, names, producer)
        self._groups = Groups(client, names, shelf, self._here, self._members_here)
        self._moving = Moving(client, names)

    async def addresses(self, purpose: Purpose, group: str | None, /) -> Sequence[Address]:
        async with self._in_time():
            return await self._browsing.addresses(purpose, group)

    def browse(self, address: Address, /, *, after: str | None = None) -> AsyncIterator[Browsed]:
        return self._browsing.browse(address, after)

    async def discard(self, address: Address, position: str, /) -> bool:
        """Dead letters only. Raises OptionError for anything else."""
        async with self._in_time():
            return await self._browsing.discard(address, position)

    async def chart(self, channels: Mapping[str, str], /) -> Mapping[str, str]:
        async with self._in_time():
            return await self._charting.chart(channels)

    async def groups(self) -> Sequence[GroupState]:
        async with self._in_time():
            return await self._groups.states()

    async def remove_group(self, name: str, /) -> bool:
        async with self._in_time():
            await self._topics.settled()
            return await self._moving.remove(name)

    async def forget(self, name: str) -> None:
        """A group that does not outlive its members, when one has left. It raises nothing: what is
        left over when the broker says nothing, Kafka forgets in time (offsets.retention)."""
        with anyio.CancelScope(shield=True):
            try:
                await self.remove_group(name)
            except TransportError as error:
                _log.debug("group %r was not forgotten: %s", name, error)

    async def rewind(self, group: str, to: Start, /) -> None:
        async with self._in_time():
            await self._moving.rewind(group, to)

    def _members_here(self) -> set[str]:
        return {feed.group.name for feed in self._feeds()}

    def _here(self, group: str) -> Here:
        lent: dict[Place, int] = {}
        channels: set[str] = set()
        feeds = [feed for feed in self._feeds() if feed.group.name == group]
        for feed in feeds:
            for place, tenure in feed.holdings.tenures.items():
                lent[place] = lent.get(place, 0) + tenure.lent
            channels |= feed.group.channels or frozenset()
        everywhere = any(f.group.channels is None and f.group.patterns for f in feeds)
        return Here(len(feeds), lent, channels, everywhere)

    @asynccontextmanager
    async def _in_time(self) -> AsyncGenerator[None]:
        """Each of several questions may be answered in time, and all together not."""
        seconds = self._client.timeout
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise TransportError(f"Kafka did not answer within {seconds:g} s") from None
