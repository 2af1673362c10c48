"""Which streams a group reads here: joining them, finding new ones, leaving them."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import msgspec

from busway import TransportError
from busway.transport import Group, Loan, Start

from ._answers import answers, answers_or_refusals
from ._errors import Refused
from ._feed import RedisFeed
from ._joining_scripts import ANNOUNCE, DESPITE_OOM
from ._keys import Keys
from ._link import Argument
from ._scripts import LEAVE
from ._settling import FREE
from ._source import Source
from ._topology import Topology

__all__ = ["PRESENCE", "Joining", "ask_members", "destroy", "first_id"]

PRESENCE = 15.0
"""Seconds after which a member that says nothing counts as gone."""
_REPLIES = "reply"


class Joining:
    """The streams of one feed."""

    def __init__(self, feed: RedisFeed, timeout: float) -> None:
        self._feed = feed
        self._topology: Topology = feed.topology
        self._keys: Keys = feed.keys
        self._timeout = timeout
        self._channels: set[str] = set()
        """Whose events are read."""
        self._start: Start = feed.group.start if feed.group.durable else "latest"
        """Of the group, whatever it follows later."""
        self._known = False
        """Whether the group existed before: what it has not joined yet appeared since."""
        self._looked: Group | None = None
        """For whom it was looked last: what is new since then appeared since, too."""
        self._looking = asyncio.Lock()
        self._left: dict[str, Source] = {}
        """Streams that are not read any more, by key; something of them may be held."""
        self._retried: set[str] = set()
        """Whose retries are read."""

    async def join(self) -> list[Source]:
        """Make the groups and read from where they stand. Raises TransportError."""
        group = self._feed.group
        self._known = bool(await self._call(self._keys.groups, "HEXISTS", group.name))
        sources = [*await self._join_replies(), *await self.discover()]
        await self.register()
        await self.announce()
        return sources

    async def register(self) -> None:
        """Say what the group reads: who removes what was handled has to know."""
        group = self._feed.group
        how = {
            "durable": group.durable,
            "patterns": group.patterns,
            "everywhere": group.channels is None,
        }
        await self._write(self._keys.groups, "HSET", group.name, msgspec.json.encode(how))

    async def announce(self) -> dict[str, tuple[str, ...]]:
        """Say that this member lives and what it handles; who else does."""
        group = self._feed.group
        said = msgspec.json.encode(group.patterns).decode()
        return await ask_members(self._topology, self._keys, group.name, self._feed.member, said)

    async def discover(self) -> list[Source]:
        """Streams that are new since the last look; each is told of once."""
        async with self._looking:
            return await self._discover()

    async def _discover(self) -> list[Source]:
        group = self._feed.group
        begun = [self._members(self._keys.joined(group.name))]
        if group.channels is None:
            begun.append(self._members(self._keys.channels))
        found = [{name.decode() for name in names} for names in await self._answers(begun)]
        wanted = set(group.channels) if group.channels is not None else found[1]
        retried = (found[0] | wanted) - self._retried
        new = wanted - self._channels
        sources: list[Source] = []
        shards = range(self._keys.shards)
        for channel in sorted(retried):
            for shard in shards:
                key = self._keys.retry(channel, group.name, shard)
                sources.append(Source(key, channel, shard, key, deletes=True))
                if self._keys.shards > 1:
                    key = self._keys.passed(channel, group.name, shard)
                    sources.append(_unleased(Source(key, channel, shard, key, deletes=True)))
        for channel in sorted(new):
            for shard in shards:
                bell = self._keys.retry(channel, group.name, shard)
                key = self._keys.stream(channel, shard)
                left = self._left.get(key)
                sources.append(left or Source(key, channel, shard, bell))
        # A channel that appears later is read from its beginning: its first events made it appear.
        before = self._known if self._looked is None else self._looked is group
        appeared = before and group.channels is None
        start = "0" if appeared else first_id(self._start)
        await self._create([s for s in sources if s.channel not in found[0]], start)
        await self._create([s for s in sources if s.channel in found[0]], "0")
        if retried:
            key = self._keys.joined(group.name)
            await self._write(key, "SADD", *sorted(retried))
        self._channels |= new
        self._retried |= retried
        self._looked = group
        for source in sources:
            self._left.pop(source.key, None)
        return sources

    async def _join_replies(self) -> list[Source]:
        name = self._feed.group.name
        key = self._keys.reply(name)
        sources = [Source(key, _REPLIES, 0, key, deletes=True)]
        if self._keys.shards > 1:
            _unleased(sources[0])
        await self._create(sources, "0")
        return sources

    async def _create(self, sources: list[Source], start: str) -> None:
        name = self._feed.group.name
        begun = [
            self._topology.begin(
                source.key,
                "XGROUP",
                "CREATE",
                source.key,
                name,
                "0" if source.deletes else start,
                "MKSTREAM",
            )
            for source in sources
        ]
        told = await answers_or_refusals(begun, self._timeout)
        for source, answer in zip(sources, told, strict=True):
            if isinstance(answer, Refused) and answer.code == "OOM":
                await self._create_despite(source, name, "0" if source.deletes else start)
            elif isinstance(answer, Refused) and answer.code != "BUSYGROUP":
                raise Refused(answer.code, f"{answer.said.rstrip('. ')} ({source.key})")

    async def _create_despite(self, source: Source, name: str, start: str) -> None:
        words = ("XGROUP", "CREATE", source.key, name, start, "MKSTREAM")
        try:
            await self._topology.script(DESPITE_OOM, [source.key], words)
        except Refused as error:
            if error.code != "BUSYGROUP":
                raise

    async def _write(self, key: str, verb: str, *words: Argument) -> None:
        """On a server that is full, too: who joins is to empty it."""
        try:
            await self._call(key, verb, *words)
        except Refused as error:
            if error.code != "OOM":
                raise
            await self._topology.script(DESPITE_OOM, [key], (verb, key, *words))

    async def mend(self, source: Source) -> None:
        """Its group was taken away: make it again after the last entry that was read, or at the
        beginning of a stream that is new."""
        try:
            told = await self._call(source.key, "XINFO", "STREAM", before=True)
            about = dict(zip(told[::2], told[1::2], strict=True))
            last = about[b"last-generated-id"]
            start = source.high if _number(last) >= _number(source.high) else b"0"
        except Refused:
            start = b"0"
        try:
            command = ("XGROUP", "CREATE", source.key, self._feed.group.name, start, "MKSTREAM")
            await answers([self._topology.begin(source.key, *command)], self._timeout)
        except Refused as error:
            if error.code != "BUSYGROUP":
                raise

    def forget(self, group: Group) -> tuple[set[str], set[str]]:
        """Follow other patterns: the channels that are not read any more."""
        self._feed.group = group
        if group.channels is None:
            return set(), self._channels
        gone = self._channels - group.channels
        self._channels -= gone
        return gone, self._channels

    def lay_down(self, source: Source) -> None:
        """It is not read any more. What is held of it is given back with the rest."""
        self._left[source.key] = source

    async def leave(self) -> None:
        """Give everything back. Raises nothing."""
        feed, name = self._feed, self._feed.group.name
        # A suspect is counted when it is handed out: what it has now is of those who had it before.
        ahead = {d.receipt[:2] for d in feed.take_back() if d.delivered == 1}
        for source in (*feed.sources.values(), *self._left.values()):
            kept = source.held.difference(source.owed)
            handed = [id for id in kept if (source, id) not in ahead]
            source.held.clear()
            args: list[Argument] = [name, feed.member, FREE, *handed]
            await self._try(self._topology.script(LEAVE, [source.key, source.bell], args))
        await self._try(self._call(self._keys.members(name), "HDEL", feed.member))
        if not feed.group.durable:
            await self._try(self.destroy())

    async def destroy(self) -> None:
        """Nothing is kept of this group."""
        await destroy(self._topology, self._keys, self._feed.group.name, self._timeout)

    async def _try(self, call: Any) -> None:
        try:
            await call
        except TransportError:
            pass  # the broker finds out when the leases end

    def _members(self, key: str) -> asyncio.Future[Any]:
        return self._topology.begin(key, "SMEMBERS", key)

    async def _answers(self, begun: list[asyncio.Future[Any]]) -> list[Any]:
        return await answers(begun, self._timeout)

    async def _call(self, key: str, *command: Any, before: bool = False) -> Any:
        verb, *rest = command
        words = (*command, key) if before else (verb, key, *rest)
        return (await self._answers([self._topology.begin(key, *words)]))[0]


async def ask_members(
    topology: Topology, keys: Keys, group: str, member: str, said: str
) -> dict[str, tuple[str, ...]]:
    """The living members of a group and their patterns; ``member`` is one of them from now on."""
    args = (member, said, round(PRESENCE * 1000))
    told = await topology.script(ANNOUNCE, [keys.members(group)], args)
    return {
        name.decode(): tuple(msgspec.json.decode(patterns, type=list[str]))
        for name, patterns in zip(told[::2], told[1::2], strict=True)
    }


async def destroy(topology: Topology, keys: Keys, group: str, timeout: float) -> None:
    """Forget a group, what waits for it and its dead letters."""
    joined = keys.joined(group)
    sets = [topology.begin(key, "SMEMBERS", key) for key in (keys.channels, joined)]
    channels, mine = await answers(sets, timeout)
    begun: list[asyncio.Future[Any]] = []
    for name in {each.decode() for each in (*channels, *mine)}:
        for shard in range(keys.shards):
            stream = keys.stream(name, shard)
            begun.append(topology.begin(stream, "XGROUP", "DESTROY", stream, group))
            for key in (
                keys.retry(name, group, shard),
                keys.delay(name, group, shard),
                keys.dead(name, group, shard),
                keys.passed(name, group, shard),
                keys.passing(name, group, shard),
                keys.lease(name, group, shard),
                keys.fence(name, group, shard),
            ):
                begun.append(topology.begin(key, "DEL", key))
    for key in (keys.reply(group), joined, keys.members(group), keys.sharing(group)):
        begun.append(topology.begin(key, "DEL", key))
    await answers_or_refusals(begun, timeout)  # refused is what is not there
    await answers([topology.begin(keys.groups, "HDEL", keys.groups, group)], timeout)


def _unleased(source: Source) -> Source:
    """Members share it. All that a feed lends has a loan, or nothing has."""
    source.loan = Loan()
    return source


def first_id(start: Start) -> str:
    """The id after which a group that starts there reads."""
    if start == "latest":
        return "$"
    if isinstance(start, datetime):
        return f"{max(0, int(start.timestamp() * 1000) - 1)}-{2**64 - 1}"
    return "0"


def _number(id: bytes) -> tuple[int, int]:
    milliseconds, _, number = id.partition(b"-")
    return int(milliseconds), int(number)
