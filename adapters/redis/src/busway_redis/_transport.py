"""Redis as the bus sees it."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

import anyio

from busway import TransportError
from busway.transport import (
    Address,
    Browsed,
    Group,
    GroupState,
    Outcome,
    Outgoing,
    Purpose,
    Start,
)

from ._agreeing import agree_on_shards, chart
from ._browsing import Browsing
from ._checks import check
from ._client import Given, options_of
from ._feed import RedisFeed
from ._groups import Groups
from ._joining import Joining
from ._keys import Keys
from ._link import Link
from ._numbers import Numbers
from ._place import place_of
from ._publishing import Publishing
from ._reader import Reader
from ._retention import Retention
from ._shard_reader import ShardReader
from ._shards import Shards
from ._source import Source
from ._tending import Tending
from ._topology import Topology, running_loop, topology_of
from ._url import options_from_url

__all__ = ["RedisTransport", "open_redis"]


class RedisTransport:
    """The bus between processes, on Redis Streams.

    It runs on asyncio. Every call but ``receive`` ends within ``options.timeout`` seconds. Powers:
    Holds, Browses, Discards, Rewinds, ManagesGroups, Announces, Charts, Located, Reports; its feeds
    Extends, Moves, Follows.

    ``given`` is a URL, ``Options``, or a client of redis-py that was configured in code: its
    connections are made as that client would make them, and the client itself is not used. The
    adapter's own options (``prefix``, ``lease``, ``shards``, …) may be given beside it. Raises
    OptionError.
    """

    holds: Literal[True] = True

    def __init__(self, given: Given, /, **own: Any) -> None:
        options = self.options = options_of(given, **own)
        self.keys = Keys(options.prefix, options.shards)
        self._topology: Topology = topology_of(options)
        self._users = 0
        self._opening = anyio.Lock()
        self.retention = Retention(self._topology, self.keys, options)
        self.publishing = Publishing(self._topology, self.keys, options, self.retention)
        self._numbers = Numbers(self._topology, self.publishing, self.retention)
        self._groups = Groups(self._topology, self.keys, options)
        self._browsing = Browsing(self._topology, self.keys, options)
        self.feeds: set[RedisFeed] = set()
        """Open in this process."""

    def __repr__(self) -> str:
        return f"<RedisTransport {self.options.where}>"

    async def __aenter__(self) -> RedisTransport:
        async with self._opening:
            if self._users == 0:
                await self._open()
            self._users += 1
        return self

    async def _open(self) -> None:
        limit = self.options.timeout
        until = running_loop().time() + limit
        await self._topology.open()
        try:
            async with asyncio.timeout_at(until):
                # Nothing is written to a server that is not fit for it.
                await check(self._topology, self.options)
                await agree_on_shards(self._topology, self.keys)
                await self.publishing.open()
        except BaseException as error:
            await self._close()
            if isinstance(error, TimeoutError):
                said = f"{self.options.where}: no answer within {limit:g} s"
                raise TransportError(said) from error
            raise

    async def __aexit__(self, *exc: object) -> None:
        self._users -= 1
        if self._users == 0:
            await self._close()

    async def _close(self) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(self.options.timeout):
            await self.publishing.close()
            await self._topology.close()

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        outcomes = await self.publishing.send(items, timeout)
        if any(item.due is not None for item in items):
            for feed in self.feeds:
                feed.poke()
        return outcomes

    # --- listening --------------------------------------------------------------------------------

    def listen(self, group: Group, /) -> AbstractAsyncContextManager[RedisFeed]:
        return self._listen(group)

    @asynccontextmanager
    async def _listen(self, group: Group) -> AsyncGenerator[RedisFeed]:
        member = group.member or uuid.uuid4().hex
        feed = RedisFeed(self._topology, self.keys, group, self.options, member)
        listening = Listening(feed, Joining(feed, self.options.timeout), self.retention)
        feed.listening = listening
        try:
            await listening.start()
            self.feeds.add(feed)
            yield feed
        finally:
            self.feeds.discard(feed)
            self._numbers.closed(feed)
            with anyio.CancelScope(shield=True), anyio.move_on_after(self.options.timeout):
                await listening.stop()

    async def call(self, key: str, *command: str | bytes | int) -> Any:
        """A command of your own to the server that has the key."""
        return await self._topology.call(key, *command)

    def report(self) -> Mapping[str, int]:
        """See ``Numbers.now``."""
        return self._numbers.now(self.feeds)

    async def location(self) -> str:
        return await place_of(self._topology, self.keys)

    # --- groups -----------------------------------------------------------------------------------

    async def announce(self, group: Group, /) -> Mapping[str, tuple[str, ...]]:
        return await self._groups.announce(group)

    async def chart(self, channels: Mapping[str, str], /) -> Mapping[str, str]:
        return await chart(self._topology, self.keys, channels)

    async def groups(self) -> Sequence[GroupState]:
        return await self._groups.states()

    async def remove_group(self, name: str, /) -> bool:
        return await self._groups.remove(name)

    async def rewind(self, group: str, to: Start, /) -> None:
        await self._groups.rewind(group, to)

    # --- reading without a group ------------------------------------------------------------------

    async def addresses(self, purpose: Purpose, group: str | None, /) -> Sequence[Address]:
        return await self._browsing.addresses(purpose, group)

    async def browse(
        self, address: Address, /, *, after: str | None = None
    ) -> AsyncIterator[Browsed]:
        async for each in self._browsing.browse(address, after):
            yield each

    async def discard(self, address: Address, position: str, /) -> bool:
        return await self._browsing.discard(address, position)


def open_redis(url: str) -> RedisTransport:
    """The transport for a URL, not connected yet. Raises OptionError."""
    return RedisTransport(options_from_url(url))


class Listening:
    """The tasks of one feed."""

    def __init__(self, feed: RedisFeed, joining: Joining, retention: Retention) -> None:
        self._feed = feed
        self._joining = joining
        self._retention = retention
        self._readers: dict[str, Reader] = {}
        """By the slot they read from; one for all where slots do not matter."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._shards = Shards(feed, self._read, joining.mend, self._run)

    async def start(self) -> None:
        """Raises TransportError when the group cannot be joined."""
        sources = await self._joining.join()
        shared = [source for source in sources if not self._is_leased(source)]
        self._feed.sources = {source.key: source for source in shared}
        tending = Tending(self._feed, self._joining, self._add)
        # What was given back before is older than what is new.
        self._feed.heard = {source.channel for source in shared}
        await self._feed.claim()
        self._add(sources)
        if self._feed.keys.shards > 1:
            await self._shards.start()
        self._run(tending.run())
        self._run(self._retention.run(self._feed.member))

    @property
    def connections(self) -> int:
        """How many connections were made for reading."""
        return sum(reader.link.connections for reader in self._readers.values())

    def _run(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.add(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """A task of ours that fails by itself has met what it does not know."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._feed.failed(error)

    def _is_leased(self, source: Source) -> bool:
        return self._feed.keys.shards > 1 and source.loan is None

    def _add(self, sources: list[Source]) -> None:
        self._shards.offer(filter(self._is_leased, sources))
        self._read([source for source in sources if not self._is_leased(source)])

    def _read(self, sources: list[Source]) -> None:
        for source in sources:
            self._feed.sources[source.key] = source
            slot = _tag(source.key) if self._feed.topology.one_slot else ""
            reader = self._readers.get(slot)
            if reader is None:
                link: Link = self._feed.topology.reader(source.key)
                kind = ShardReader if self._feed.keys.shards > 1 else Reader
                reader = self._readers[slot] = kind(self._feed, link, self._joining.mend)
                self._run(reader.run())
            reader.add(source)

    async def follow(self, group: Group) -> None:
        gone, _ = self._joining.forget(group)
        for source in list(self._feed.sources.values()):
            if source.channel in gone and not source.deletes:
                del self._feed.sources[source.key]
                self._joining.lay_down(source)
                for reader in self._readers.values():
                    reader.remove(source)
        self._shards.forget(gone)
        self._add(await self._joining.discover())
        await self._joining.register()
        await self._joining.announce()

    async def stop(self) -> None:
        """Stop reading, then give everything back."""
        await self.die()
        await self._shards.stop()
        await self._joining.leave()

    async def die(self) -> None:
        """Stop without a word: what was lent comes again when the lease is over."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for reader in self._readers.values():
            with contextlib.suppress(TransportError):
                await reader.link.close()


def _tag(key: str) -> str:
    return key.partition("{")[2].partition("}")[0]
