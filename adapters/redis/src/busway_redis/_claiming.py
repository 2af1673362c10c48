"""Taking over what is pending: given back, left behind, or fetched and never seen."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from ._feed import RedisFeed
from ._scripts import CLAIM
from ._settling import FREE
from ._shard_scripts import SEIZE
from ._source import Source

__all__ = ["Claiming"]

_log = logging.getLogger("busway.redis")

_AT_ONCE = 100


class Claiming:
    """For one feed."""

    ENOUGH: Final = 1000
    """Deliveries fetched ahead from which on nothing more is taken over."""

    def __init__(self, feed: RedisFeed) -> None:
        self._feed = feed

    async def heard(self) -> None:
        """Take over what was given back in the channels that were heard of. It is older than what
        is new, so nothing is handed out meanwhile. Raises TransportError."""
        feed = self._feed
        heard, feed.heard = feed.heard, set()
        feed.sorting += 1
        try:
            for source in list(feed.sources.values()):
                if source.channel in heard:
                    await self._given_back(source)
        except BaseException:
            feed.heard |= heard
            raise
        finally:
            feed.sorting -= 1
            feed.sorted()

    async def _given_back(self, source: Source) -> None:
        """However many they are: they were held before."""
        cursor: str | bytes = "0-0"
        while True:
            cursor = await self.some(source, FREE // 2, cursor)
            if cursor in {b"0-0", "0-0"}:
                return

    async def left_behind(self, source: Source) -> None:
        """Take over what nobody has prolonged for a lease. Raises TransportError."""
        idle = round(self._feed.lease * 1000)
        while len(self._feed.ready) < self.ENOUGH:
            source.cursor = await self.some(source, idle, source.cursor)
            if source.cursor in {b"0-0", "0-0"}:
                return

    async def some(self, source: Source, idle: int, cursor: str | bytes) -> str | bytes:
        """Take over some of what has been idle for so many milliseconds; where to go on."""
        feed, lease = self._feed, source.lease
        at = time.monotonic()
        args = (feed.group.name, feed.member, idle, cursor, _AT_ONCE)
        answer: Any
        if lease is None:
            answer = await feed.topology.script(CLAIM, [source.key], args)
        else:
            keys = [source.key, lease.key]
            answer = await feed.topology.script(SEIZE, keys, (*args, lease.value))
            if answer is None:
                lease.loan.revoke()
                return "0-0"
        then, taken, gone = answer
        if gone:
            feed.ghosts += gone
            _log.error(
                "group %r: %d entries of %s were removed while they were pending: "
                "somebody trims or deletes what was not handled",
                feed.group.name,
                gone,
                source.key,
            )
        feed.taken_over(source, taken, at)
        found: str | bytes = then
        return found
