"""One member's time with one shard: taking over, reading, giving up, losing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable

from busway.transport import Delivery

from ._claiming import Claiming
from ._feed import RedisFeed
from ._keys import Keys
from ._lease import Lease
from ._link import Argument
from ._scripts import LEAVE
from ._settling import FREE
from ._shard_scripts import FREE_LEASE
from ._source import Source

__all__ = ["Shard", "Tenure"]

_log = logging.getLogger("busway.redis")

_GRACE = 1.0
"""Seconds in which what waits behind nothing is given back by the core."""
_LOOK = 0.02


class Shard:
    """One shard of a channel, as one group reads it."""

    def __init__(self, keys: Keys, group: str, channel: str, number: int) -> None:
        self.channel = channel
        self.lease = keys.lease(channel, group, number)
        self.fence = keys.fence(channel, group, number)
        self.sources: dict[str, Source] = {}
        """What is read of it, by key."""
        self.tenure: Tenure | None = None
        """Ours, also while it is given up."""
        self.seen: str | None = None
        """Who had it at the last look."""
        self.part = False
        """Whether that one reads its retries only."""
        self.free_since: float | None = None

    @property
    def whole(self) -> bool:
        """Whether its events are read, not only retries of earlier days."""
        return any(not source.deletes for source in self.sources.values())

    def look(self, value: bytes | None) -> None:
        """What stands in the lease."""
        if value is None:
            self.seen = None
            self.free_since = self.free_since or time.monotonic()
            return
        _, mark, self.seen = value.decode().split(" ", 2)
        self.part, self.free_since = mark == "part", None


class Tenure:
    """From when the lease was taken until it is free or lost."""

    def __init__(self, feed: RedisFeed, shard: Shard, lease: Lease) -> None:
        self._feed = feed
        self.shard = shard
        self.lease = lease
        self.sources: dict[str, Source] = {}
        self.leaving = False
        """It is being given up."""
        self.work: asyncio.Task[None] | None = None
        """Taking over, or giving up."""

    # --- taking -----------------------------------------------------------------------------------

    def begin(self) -> list[Source]:
        """What is to be taken over: events first, then what is tried again."""
        new = [s for key, s in self.shard.sources.items() if key not in self.sources]
        mine = [source.under(self.lease) for source in sorted(new, key=lambda s: s.deletes)]
        for source in mine:
            self.sources[source.key] = source
            self._feed.sources[source.key] = source
        return mine

    async def take_over(self, sources: Iterable[Source]) -> None:
        """All that earlier owners left pending, in the order of its ids. Raises TransportError."""
        claiming = Claiming(self._feed)
        for source in sources:
            cursor: str | bytes = "0-0"
            while not self.lease.over:
                cursor = await claiming.some(source, 0, cursor)
                if cursor in {b"0-0", "0-0"}:
                    break
                while len(self._feed.ready) >= Claiming.ENOUGH and not self.lease.over:
                    await asyncio.sleep(_LOOK)

    # --- ending -----------------------------------------------------------------------------------

    async def give_up(self, seconds: float) -> None:
        """Start nothing more, wait for what runs, at most so long; then let another have it.
        Raises TransportError."""
        until = time.monotonic() + seconds
        await self._feed.release(self._withdraw())
        try:
            async with asyncio.timeout(seconds):
                await self.lease.loan.drained()
        except TimeoutError:
            _log.warning(
                "group %r: a handler of %s has run for %g s since another member wants this shard; "
                "it is not waited for any longer",
                self._feed.group.name,
                self.shard.channel,
                seconds,
            )
        # What waited is given back by the core, and what is done is acknowledged.
        until = min(until, time.monotonic() + _GRACE)
        while any(s.held for s in self.sources.values()) and time.monotonic() < until:
            await asyncio.sleep(_LOOK)
        await self.free()

    async def free(self) -> None:
        """Give everything back, and the lease. Raises TransportError."""
        feed, lease = self._feed, self.lease
        ahead = {each.receipt[1] for each in self._withdraw()}
        for source in self.sources.values():
            handed = [id for id in source.held if id not in ahead and id not in source.owed]
            args: list[Argument] = [feed.group.name, feed.member, FREE, *handed]
            await feed.topology.script(LEAVE, [source.key, source.bell], args)
        await feed.topology.script(FREE_LEASE, [lease.key], (lease.value, feed.member))
        self.end()

    def lost(self) -> None:
        """Somebody else may have it."""
        self._feed.lost_in_wait += len(self._withdraw())
        self.end()
        _log.warning(
            "group %r: the lease of %s was not renewed in time or is somebody else's: what ran of "
            "it may be handled twice",
            self._feed.group.name,
            self.lease.key,
        )

    def end(self) -> None:
        """Nothing of it counts any more."""
        self._withdraw()
        self.lease.over = True
        for source in self.sources.values():
            source.gone |= source.held
            source.held.clear()

    def _withdraw(self) -> list[Delivery]:
        """Neither start nor read any more of it; what was fetched ahead."""
        feed = self._feed
        self.leaving = True
        self.lease.loan.revoke()
        for source in self.sources.values():
            if feed.sources.get(source.key) is source:
                del feed.sources[source.key]
        mine = set(self.sources.values())
        ahead = [each for each in feed.ready if each.receipt[0] in mine]
        for each in ahead:
            feed.ready.remove(each)
        return ahead
