"""Removing what is not needed any more, and naming who stands in the way.

Nothing goes that a group has not handled. A group that nobody listens in any more holds everything
from its place on; whether it is gone for good only a person knows, who is told once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from random import uniform
from typing import Any, Final

import msgspec

from busway import TransportError

from ._joining import ask_members, destroy
from ._keys import Keys
from ._link import Argument
from ._options import Options
from ._topology import Topology
from ._trimming import TRIM

__all__ = ["Registered", "Retention"]

_log = logging.getLogger("busway.redis")

_OFTEN: Final = 1.0
_SELDOM: Final = 60.0
_SOME: Final = 10_000
_SIDE_BY_SIDE: Final = 20
_ABSENT: Final = 10
"""Leases after which a group that ends with its process is over."""


class Registered(msgspec.Struct, frozen=True):
    """What the registry says of a group."""

    durable: bool = True
    everywhere: bool = False
    """Whether it reads every channel there will be."""


class Retention:
    """One for a transport; of all the processes under one prefix one at a time does it."""

    def __init__(self, topology: Topology, keys: Keys, options: Options) -> None:
        self._topology = topology
        self._keys = keys
        self._options = options
        keep = options.retention
        often = options.lease * _ABSENT / 4 if keep is None else keep / 10
        self.period = min(max(often, _OFTEN), _SELDOM)
        """Seconds from one round to the next."""
        self.removed = 0
        """Entries that every group had handled."""
        self._named: set[str] = set()
        """Groups that the log has named."""
        self._troubled = False

    async def run(self, member: str) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self.period * uniform(0.8, 1.2))
            try:
                if await self._is_ours(member):
                    await self.round()
                self._troubled = False
            except TransportError as error:
                if not self._troubled:
                    _log.warning("what was handled is not removed now: %s", error)
                self._troubled = True

    async def round(self) -> None:
        """Remove what is older than the retention and handled, and groups whose process is gone."""
        groups = await self.registered()
        living = {name: await self._lives(name) for name in groups}
        await self._end_leftovers(groups, living)
        if self._options.retention is None:
            return
        keep = self._options.retention
        held: dict[str, str] = {}
        async for stream, answer in self._trimmed(keep, _everywhere(groups)):
            self.removed += max(0, answer[0])
            for name in answer[1::2]:
                held.setdefault(name.decode(), stream)
        self._name(held, groups, living, keep)

    async def registered(self) -> dict[str, Registered]:
        """Every group, as the registry has it."""
        told = await self._topology.call(self._keys.groups, "HGETALL", self._keys.groups)
        pairs = zip(told[::2], told[1::2], strict=True)
        return {name.decode(): msgspec.json.decode(how, type=Registered) for name, how in pairs}

    async def make_room(self, stream: str, some: int) -> tuple[int, list[str]]:
        """Remove about so many of a stream's oldest that every group has handled; how many, and
        the groups that have not handled what is older than now."""
        names = _everywhere(await self.registered())
        answer = await self._topology.script(TRIM, [stream], (0, some, *names))
        self.removed += max(0, answer[0])
        return answer[0], [name.decode() for name in answer[1::2]]

    # --- one round --------------------------------------------------------------------------------

    async def _is_ours(self, member: str) -> bool:
        key = self._keys.trimming
        lasts = round(self.period * 800)
        answer = await self._topology.call(key, "SET", key, member, "NX", "PX", lasts)
        return answer is not None

    async def _lives(self, group: str) -> bool:
        return bool(await ask_members(self._topology, self._keys, group, "", ""))

    async def _trimmed(
        self, keep: float, names: Sequence[str]
    ) -> AsyncIterator[tuple[str, list[Any]]]:
        """What became of each stream of events."""
        keys = self._keys
        told = await self._topology.call(keys.channels, "SMEMBERS", keys.channels)
        shards = range(keys.shards)
        streams = [keys.stream(name.decode(), shard) for name in sorted(told) for shard in shards]
        args: list[Argument] = [round(keep * 1000), _SOME, *names]

        async def trim(stream: str) -> list[Any]:
            while True:
                answer: list[Any] = await self._topology.script(TRIM, [stream], args)
                if answer[0] < _SOME // 2:
                    return answer
                self.removed += answer[0]

        for first in range(0, len(streams), _SIDE_BY_SIDE):
            some = streams[first : first + _SIDE_BY_SIDE]
            answers = await asyncio.gather(*map(trim, some))
            for stream, answer in zip(some, answers, strict=True):
                yield stream, answer

    async def _end_leftovers(
        self, groups: Mapping[str, Registered], living: Mapping[str, bool]
    ) -> None:
        """A broadcast's group ends with its process; a process that was killed could not say so."""
        key = self._keys.absent
        told = await self._topology.call(key, "HGETALL", key)
        since = {n.decode(): int(at) for n, at in zip(told[::2], told[1::2], strict=True)}
        gone = {name for name, how in groups.items() if not (how.durable or living[name])}
        back = since.keys() - gone
        if back:
            await self._topology.call(key, "HDEL", key, *sorted(back))
        if not gone:
            return
        seconds, _ = await self._topology.call(key, "TIME")
        now = int(seconds)
        for name in sorted(gone):
            if name not in since:
                await self._topology.call(key, "HSETNX", key, name, now)
            elif now - since[name] > _ABSENT * self._options.lease:
                await destroy(self._topology, self._keys, name, self._options.timeout)
                await self._topology.call(key, "HDEL", key, name)
                _log.info("group %r is over: its process is gone and said nothing", name)

    def _name(
        self,
        held: Mapping[str, str],
        groups: Mapping[str, Registered],
        living: Mapping[str, bool],
        keep: float,
    ) -> None:
        """Say once which groups keep what is older than the retention."""
        for name, stream in sorted(held.items()):
            if name in self._named:
                continue
            if not living.get(name, False):
                remedy = (
                    f"await bus.remove_group({name!r})"
                    if name in groups
                    else f"XGROUP DESTROY {stream} {name}"
                )
                _log.warning(
                    "nobody listens in group %r, and it has not handled entries of %s that are "
                    "older than retention=%gs: they and all that came later are kept for it. If "
                    "it is gone for good: %s",
                    *(name, stream, keep, remedy),
                )
            else:
                _log.warning(
                    "group %r is behind: it has not handled entries of %s that are older than "
                    "retention=%gs, and they are kept for it",
                    *(name, stream, keep),
                )
        self._named = set(held)


def _everywhere(groups: Mapping[str, Registered]) -> list[str]:
    """The groups that have something in every channel, whether they have found it or not."""
    return sorted(name for name, how in groups.items() if how.durable and how.everywhere)
