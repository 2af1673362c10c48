"""Which groups there are, how far they are, and their end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from busway import TransportError
from busway.transport import ChannelState, Group, GroupState, Start

from ._answers import answers, answers_or_refusals
from ._errors import Refused
from ._joining import ask_members, destroy
from ._keys import Keys
from ._options import Options
from ._rewinding import rewind
from ._topology import Topology
from ._trimming import STATES

__all__ = ["Groups"]

_SIDE_BY_SIDE = 20


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
        told = await self._one(self._keys.groups, "HGETALL")
        begun = {n.decode(): how for n, how in zip(told[::2], told[1::2], strict=True)}
        channels = await self.channels()
        by_group = await self._on_streams(channels)
        return [
            await self._state(
                name, by_group.get(name, []), channels if _everywhere(begun[name]) else ()
            )
            for name in sorted(begun)
        ]

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
        said = await self._one(self._keys.groups, "HGET", name)
        if said is None:
            raise TransportError(f"there is no group {name!r}", retryable=False)
        await self._deserted(name)
        channels = set(await self.channels(name))
        if _everywhere(said):
            # It has not found yet what appeared while it had no member.
            channels.update(await self.channels())
        streams = await self._streams(sorted(channels))
        await rewind(self._topology, streams, name, to)

    async def _deserted(self, name: str) -> None:
        living = await ask_members(self._topology, self._keys, name, "", "")
        if living:
            raise TransportError(
                f"group {name!r} has members that listen: {', '.join(sorted(living))}",
                retryable=False,
            )

    async def _on_streams(self, channels: Sequence[str]) -> dict[str, list[ChannelState]]:
        """What the streams of events say of each group: by channel, all shards together."""
        keys, found = self._keys, dict[str, dict[str, ChannelState]]()
        places = [(each, keys.stream(each, n)) for each in channels for n in range(keys.shards)]
        for first in range(0, len(places), _SIDE_BY_SIDE):
            some = places[first : first + _SIDE_BY_SIDE]
            told = await self._told([stream for _, stream in some])
            for (channel, _), groups in zip(some, told, strict=True):
                for group, *said in groups:
                    states = found.setdefault(group.decode(), {})
                    states[channel] = _with(states.get(channel), channel, *said)
        return {group: list(states.values()) for group, states in found.items()}

    async def _told(self, streams: Sequence[str], *, deletes: bool = False) -> list[Any]:
        """What each of these says of its groups. ``deletes``: an entry goes when it is done."""
        asked = (self._topology.script(STATES, [key], (int(deletes),)) for key in streams)
        return await asyncio.gather(*asked)

    async def _state(
        self, name: str, channels: Sequence[ChannelState], wanted: Sequence[str]
    ) -> GroupState:
        members = await ask_members(self._topology, self._keys, name, "", "")
        mine = await self.channels(name)
        retries = await self._retries(name, mine)
        # Found when its streams were asked: what it has found since would be counted nowhere.
        found = {each.name for each in channels}
        ahead = await self._lengths([each for each in wanted if each not in found])
        return GroupState(
            name,
            len(members),
            _total([each.lag for each in channels] + [retries["lag"], ahead]),
            sum(each.pending or 0 for each in channels) + retries["pending"],
            retries["delayed"],
            retries["next"],
            retries["dead"],
            min((each.oldest for each in channels if each.oldest is not None), default=None),
            tuple(channels),
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
        told: list[Any] = []
        for start in range(0, len(retry), _SIDE_BY_SIDE):
            told += await self._told(retry[start : start + _SIDE_BY_SIDE], deletes=True)
        waiting = await _tolerant([begin(k, "ZCARD", k) for k in delay], self._timeout)
        first = await _tolerant(
            [begin(k, "ZRANGE", k, 0, 0, "WITHSCORES") for k in delay], self._timeout
        )
        letters = await _tolerant([begin(k, "XLEN", k) for k in dead], self._timeout)
        states = [state for each in told for state in each]
        due = [float(each[1]) / 1000 for each in first if each]
        return {
            "lag": sum(lag for _, lag, _, _ in states),
            "pending": sum(pending for _, _, pending, _ in states),
            "delayed": sum(each or 0 for each in waiting),
            "next": min(due, default=None),
            "dead": sum(each or 0 for each in letters),
        }

    async def _lengths(self, channels: Sequence[str]) -> int:
        """How much lies in channels that a group has not found yet: it reads them from their
        beginnings."""
        keys = await self._streams(channels)
        begun = [self._topology.begin(key, "XLEN", key) for key in keys]
        return sum(each or 0 for each in await _tolerant(begun, self._timeout))

    async def _streams(self, channels: Sequence[str]) -> list[str]:
        shards = range(self._keys.shards)
        return [self._keys.stream(channel, shard) for channel in channels for shard in shards]

    async def _one(self, key: str, verb: str, *rest: str) -> Any:
        return (await answers([self._topology.begin(key, verb, key, *rest)], self._timeout))[0]


def _with(
    state: ChannelState | None, channel: str, lag: int, pending: int, first: bytes
) -> ChannelState:
    """What is known of a channel, and of one shard more."""
    behind = None if lag < 0 else lag
    oldest = int(first.partition(b"-")[0]) / 1000 if first else None
    if state is None:
        return ChannelState(channel, behind, pending, oldest)
    both = [each for each in (state.oldest, oldest) if each is not None]
    return ChannelState(
        channel,
        _total([state.lag, behind]),
        (state.pending or 0) + pending,
        min(both, default=None),
    )


def _total(numbers: Sequence[int | None]) -> int | None:
    """None as soon as one of them is not known."""
    known = [each for each in numbers if each is not None]
    return sum(known) if len(known) == len(numbers) else None


async def _tolerant(begun: Sequence[asyncio.Future[Any]], timeout: float) -> list[Any]:
    """The answers; None in place of a refusal: there is no such key."""
    told = await answers_or_refusals(begun, timeout)
    for answer in told:
        if isinstance(answer, Refused) and answer.code not in {"ERR", "NOGROUP"}:
            raise answer
    return [None if isinstance(answer, Refused) else answer for answer in told]


def _everywhere(how: bytes) -> bool:
    """Whether a group reads whatever channels there are."""
    said: dict[str, Any] = msgspec.json.decode(how)
    return bool(said.get("everywhere"))
