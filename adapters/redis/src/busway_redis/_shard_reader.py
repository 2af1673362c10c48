"""Reading shards: what is new goes to the owner of the lease, however late a command arrives.

A blocking read of a group can be carried out after its lease was lost: it was on its way, or lay in
the buffer of a server that stood still. What it takes then nobody sees, and what is behind it is
handled first. So a script reads, which looks at the lease in the same step; and what blocks takes
nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from ._lease import Lease
from ._link import Argument
from ._reader import Reader
from ._shard_scripts import READ, TAIL
from ._source import Source

__all__ = ["ShardReader"]

_AT_ONCE = 500
_Sources = Mapping[bytes, Source]


class ShardReader(Reader):
    """A reader of streams of which most are under a lease."""

    _told = False
    """Whether it is known what the group has read of each stream."""
    _woken = False

    def add(self, source: Source) -> None:
        super().add(source)
        self._told = False

    async def fetch(self, sources: _Sources, count: int, *, waits: bool) -> tuple[float, Any]:
        at = time.monotonic()
        over = [s for s in sources.values() if s.loan is not None and s.loan.revoked]
        if over:
            for source in over:
                self.remove(source)
            return at, None
        sources = {k: s for k, s in sources.items() if s.rests_until <= at}
        if not sources:
            await asyncio.sleep(self.block)
            return at, None
        found = await self._found(sources, count)
        if found:
            self._woken = False
        if found or not waits:
            return at, found
        if self._woken or not self._told:
            # It was woken by what had been read before: it waits behind that from now on.
            self._told = True
            await self._tell(sources)
        block = round(self.block * 1000)
        high = (source.high for source in sources.values())
        command: list[Argument] = ["XREAD", "COUNT", 1, "BLOCK", block, "STREAMS", *sources, *high]
        self._woken = bool(await self.link.call(*command))
        return at, None

    async def _found(self, sources: _Sources, count: int) -> list[Any]:
        feed, found = self._feed, list[Any]()
        every = list(sources.values())
        for first in range(0, len(every), _AT_ONCE):
            some = every[first : first + _AT_ONCE]
            places: dict[Lease, int] = {}
            for source in some:
                if source.lease is not None:
                    places.setdefault(source.lease, len(places) + 1)
            keys = [*(source.key for source in some), *(lease.key for lease in places)]
            args: list[Argument] = [feed.group.name, feed.member, count, len(some)]
            args += [0 if each.lease is None else places[each.lease] for each in some]
            args += [lease.value for lease in places]
            found += await feed.topology.script(READ, keys, args) or ()
        return found

    async def _tell(self, sources: _Sources) -> None:
        every = list(sources.values())
        for first in range(0, len(every), _AT_ONCE):
            some = every[first : first + _AT_ONCE]
            keys = [source.key for source in some]
            tails = await self._feed.topology.script(TAIL, keys, (self._feed.group.name,))
            for source, tail in zip(some, tails, strict=True):
                source.high = tail
