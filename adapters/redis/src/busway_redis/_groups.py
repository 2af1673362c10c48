"""Which groups there are, how far they are, and their end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from busway import TransportError
from busway.transport import Group, GroupState, Start

from ._answers import answers, answers_or_refusals
from ._errors import Refused
from ._joining import ask_members, destroy, first_id
from ._keys import Keys
from ._options import Options
from ._topology import Topology

__all__ = ["Groups"]


class Groups:
    """The groups under one prefix."""

    def __init__(self, topology: Topology, keys: Keys, options: Options) -> None:
        self._topology = topology
        self._keys = keys
        self._timeout = options.timeout

    async def announce(self, group: Group) -> Mapping[str, tuple[str, ...]]:
        said = msgspec.json.encode(group.patterns).decode()
        return await ask_members(self._topology, self._keys, group.name, group.member, said)

    async def states(self) -> list[GroupState]:
        names = [name.decode() for name in await self._one(self._keys.groups, "HKEYS")]
        channels = await self.channels()
        by_stream = await self._on_streams(channels)
        return [await self._state(name, channels, by_stream) for name in sorted(names)]

    async def channels(self, group: str | None = None) -> list[str]:
        """All that were ever written to; those in which something may lie for one group."""
        key = self._keys.channels if group is None else self._keys.joined(group)
        return sorted(name.decode() for name in await self._one(key, "SMEMBERS"))

    async def remove(self, name: str) -> bool:
        if not await self._one(self._keys.groups, "HEXISTS", name):
            return False
        await self._deserted(name)
        await destroy(self._topology, self._keys, name, self._timeout)
        return True

    async def rewind(self, name: str, to: Start) -> None:
        if not await self._one(self._keys.groups, "HEXISTS", name):
            raise TransportError(f"there is no group {name!r}", retryable=False)
        await self._deserted(name)
        place = first_id(to)
        keys = await self._streams(await self.channels(name))
        # Made anew: what was pending would come beside what is handed out again.
        begin = self._topology.begin
        begun = [
            begin(key, "XGROUP", *how)
            for key in keys
            for how in (("DESTROY", key, name), ("CREATE", key, name, place, "MKSTREAM"))
        ]
        await _tolerant(begun, self._timeout)

    async def _deserted(self, name: str) -> None:
        living = await ask_members(self._topology, self._keys, name, "", "")
        if living:
            raise TransportError(
                f"group {name!r} has members that listen: {', '.join(sorted(living))}",
                retryable=False,
            )

    async def _on_streams(self, channels: Sequence[str]) -> dict[str, dict[str, Mapping[str, Any]]]:
        """What each stream of events says of its groups."""
        keys = await self._streams(channels)
        told = await _tolerant(
            [self._topology.begin(key, "XINFO", "GROUPS", key) for key in keys], self._timeout
        )
        return {
            key: {about["name"].decode(): about for about in map(_named, groups)}
            for key, groups in zip(keys, told, strict=True)
            if groups is not None
        }

    async def _state(
        self, name: str, channels: Sequence[str], by_stream: Mapping[str, Mapping[str, Any]]
    ) -> GroupState:
        members = await ask_members(self._topology, self._keys, name, "", "")
        mine = await self.channels(name)
        lag: int | None = 0
        pending = 0
        for groups in by_stream.values():
            about = groups.get(name)
            if about is not None:
                more = about.get("lag")
                lag = None if lag is None or more is None else lag + more
                pending += about["pending"]
        retries = await self._retries(name, mine)
        return GroupState(
            name,
            len(members),
            None if lag is None else lag + retries["lag"],
            pending + retries["pending"],
            retries["delayed"],
            retries["next"],
            retries["dead"],
        )

    async def _retries(self, name: str, channels: Sequence[str]) -> dict[str, Any]:
        keys, begin = self._keys, self._topology.begin
        places = [(each, shard) for each in channels for shard in range(keys.shards)]
        retry = [keys.retry(each, name, shard) for each, shard in places]
        delay = [keys.delay(each, name, shard) for each, shard in places]
        dead = [keys.dead(each, name, shard) for each, shard in places]
        if keys.shards > 1:
            retry += [keys.passed(each, name, shard) for each, shard in places]
            delay += [keys.passing(each, name, shard) for each, shard in places]
        retry.append(keys.reply(name))
        told = await _tolerant([begin(k, "XINFO", "GROUPS", k) for k in retry], self._timeout)
        waiting = await _tolerant([begin(k, "ZCARD", k) for k in delay], self._timeout)
        first = await _tolerant(
            [begin(k, "ZRANGE", k, 0, 0, "WITHSCORES") for k in delay], self._timeout
        )
        letters = await _tolerant([begin(k, "XLEN", k) for k in dead], self._timeout)
        groups = [_named(group) for each in told for group in each or ()]
        due = [float(each[1]) / 1000 for each in first if each]
        return {
            "lag": sum(about.get("lag") or 0 for about in groups),
            "pending": sum(about["pending"] for about in groups),
            "delayed": sum(each or 0 for each in waiting),
            "next": min(due, default=None),
            "dead": sum(each or 0 for each in letters),
        }

    async def _streams(self, channels: Sequence[str]) -> list[str]:
        shards = range(self._keys.shards)
        return [self._keys.stream(channel, shard) for channel in channels for shard in shards]

    async def _one(self, key: str, verb: str, *rest: str) -> Any:
        return (await answers([self._topology.begin(key, verb, key, *rest)], self._timeout))[0]


async def _tolerant(begun: Sequence[asyncio.Future[Any]], timeout: float) -> list[Any]:
    """The answers; None in place of a refusal: there is no such key."""
    told = await answers_or_refusals(begun, timeout)
    for answer in told:
        if isinstance(answer, Refused) and answer.code not in {"ERR", "NOGROUP"}:
            raise answer
    return [None if isinstance(answer, Refused) else answer for answer in told]


def _named(flat: Sequence[Any]) -> dict[str, Any]:
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
