"""Streams that cannot be read, put aside so that the others can.

One command reads many streams, and fails for all when one of them is no stream any more, or may not
be read by this user.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable

from busway import TransportError

from ._answers import answers_or_refusals
from ._errors import Refused
from ._feed import RedisFeed
from ._source import Source

__all__ = ["GONE", "Aside"]

_log = logging.getLogger("busway.redis")

GONE = frozenset({"NOGROUP", "UNBLOCKED"})
"""What is said of a stream or a group that was taken away, and can be made again."""
_AGAIN = 1.0


class Aside:
    """Those of one reader."""

    def __init__(self, feed: RedisFeed) -> None:
        self._feed = feed
        self._sources: dict[Source, str] = {}
        """With the code of what was said of each."""
        self._look_at = 0.0

    @property
    def waits(self) -> bool:
        """Whether it is time to look at them again."""
        return bool(self._sources) and time.monotonic() >= self._look_at

    def remove(self, source: Source) -> None:
        """It is not wanted any more."""
        self._sources.pop(source, None)

    async def sort_out(self, sources: Iterable[Source]) -> set[Source]:
        """Which of these cannot be read; none where it is all of them. Raises TransportError."""
        every = list(sources)
        refused = await self._refused(every)
        if len(refused) == len(every):
            return set()
        for source, error in refused.items():
            self._sources[source] = error.code
            _log.error(
                "group %r: %s cannot be read, and what else there is is read without it: %s",
                *(self._feed.group.name, source.key, error),
            )
        self._look_at = time.monotonic() + _AGAIN
        return set(refused)

    async def come_back(self) -> list[Source]:
        """Those that can be read again, or made again."""
        self._look_at = time.monotonic() + _AGAIN
        try:
            refused = await self._refused(list(self._sources))
        except TransportError:
            return []  # whoever reads the others is told the same
        back = [source for source in self._sources if source not in refused]
        for source in back:
            del self._sources[source]
            _log.warning("group %r: %s can be read again", self._feed.group.name, source.key)
        return back

    async def _refused(self, sources: list[Source]) -> dict[Source, Refused]:
        topology, name = self._feed.topology, self._feed.group.name
        begun: list[asyncio.Future[object]] = [
            topology.begin(source.key, "XPENDING", source.key, name) for source in sources
        ]
        told = await answers_or_refusals(begun, self._feed.timeout)
        return {
            source: answer
            for source, answer in zip(sources, told, strict=True)
            if isinstance(answer, Refused) and answer.code not in GONE
        }
