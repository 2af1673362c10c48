"""Reading new entries: one connection, one command at a time, never cut short.

A blocking read that is cancelled may have been answered already: what the answer held would be
pending and seen by nobody. So reading is a task of its own that ends with its feed, and after every
answer that did not come, what is pending for this process is looked through before anything new.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from busway import TransportError

from ._aside import GONE, Aside
from ._errors import Refused
from ._feed import RedisFeed
from ._link import Argument, Link
from ._scripts import UNSEEN
from ._source import BELL, Source

__all__ = ["Reader"]

_log = logging.getLogger("busway.redis")

_LONGEST_BLOCK = 0.5
_UNSEEN_AT_ONCE = 200
_PAUSE = 1.0
_TIMES_ALONE = 3
_AT_ONCE = 256
"""Of one stream. More is no quicker: what is parsed leaves the processor's cache before it is
handled."""


class Reader:
    """What fetches into a feed from streams that one command may name."""

    def __init__(
        self, feed: RedisFeed, link: Link, mend: Callable[[Source], Awaitable[None]]
    ) -> None:
        self._feed = feed
        self.link = link
        self.sources: dict[bytes, Source] = {}
        """By key. Retries and replies first: they have waited longest."""
        self._mend = mend
        self._aside = Aside(feed)
        # An answer that is waited for must not look like one that does not come.
        self.block = min(_LONGEST_BLOCK, feed.timeout / 4)
        self._mended_at = float("-inf")
        self._unsure = False
        """An answer did not come: what it held may be pending, unseen."""
        self._full: dict[bytes, Source] = {}
        """Those that are asked next, if not all are."""
        self._alone = 0
        """How often in a row not all were asked."""

    def add(self, source: Source) -> None:
        """One stream more, from the next read on."""
        one = {source.key.encode(): source}
        self.sources = one | self.sources if source.deletes else self.sources | one

    def remove(self, source: Source) -> None:
        """Not that stream any more."""
        self.sources = {k: s for k, s in self.sources.items() if s is not source}
        self._full = {}
        self._aside.remove(source)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._feed.demand.wait()
            try:
                if self._feed.heard:
                    await self._feed.claim()
                if self._unsure:
                    await self._look_through()
                    self._unsure = False
                if self._aside.waits:
                    await self._bring_back()
                await self._read()
            except Refused as error:
                await self._refused(error)
            except TransportError as error:
                self._unsure = True
                self._feed.broken(error)

    async def _read(self) -> None:
        feed, full, self._full = self._feed, self._full, {}
        sources = full or self.sources
        if not sources:
            await asyncio.sleep(self.block)
            return
        asked = len(full) - sum(source.deletes for source in full.values()) or len(sources)
        count = max(1, min(_AT_ONCE, -(-feed.limit // asked)))
        at, answer = await self.fetch(sources, count, waits=not full)
        self._alone = self._alone + 1 if full else 0
        if self._alone < _TIMES_ALONE:
            self._note_full(answer or (), count)
        for key, entries in answer or ():
            for id, fields in entries if sources[key].deletes else ():  # nowhere else are bells
                if fields is not None and fields[0] == BELL:
                    feed.hear(sources[key], id)
        if feed.heard:
            # What was given back is older than what is new. Should this fail, nobody has seen that.
            self._unsure = True
            await feed.claim()
            self._unsure = False
        for key, entries in answer or ():
            source = sources[key]
            if self.sources.get(key) is source:
                feed.arrived(source, entries, at)
            # Else it was left meanwhile; what it had is given back with the feed.

    def _note_full(self, answer: Sequence[Any], count: int) -> None:
        """Where all streams are asked, each has a small share of what is wanted. If few of them had
        as much as that, they are asked alone a few times, for all of it."""
        full = {key for key, entries in answer if len(entries) >= count}
        if count < _AT_ONCE and 2 * len(full) <= len(self.sources):
            # With the bells: what was given back is older than what is new.
            bells = {source.bell for key, source in self.sources.items() if key in full}
            self._full = {
                key: source
                for key, source in self.sources.items()
                if key in full or source.key in bells
            }

    async def fetch(
        self, sources: Mapping[bytes, Source], count: int, *, waits: bool
    ) -> tuple[float, Any]:
        """What is new in these streams, some of each, and from when on it is lent."""
        feed, at = self._feed, time.monotonic()
        command: list[Argument] = ["XREADGROUP", "GROUP", feed.group.name, feed.member]
        command += ["COUNT", count]
        if waits:
            command += ["BLOCK", round(self.block * 1000)]
        return at, await self.link.call(*command, "STREAMS", *sources, *(">" for _ in sources))

    async def _look_through(self) -> None:
        """Find what is pending for this process and was never seen."""
        feed = self._feed
        for source in list(self.sources.values()):
            first = "-"
            while True:
                at = time.monotonic()
                args = (feed.group.name, feed.member, first, _UNSEEN_AT_ONCE)
                owned = await feed.topology.script(UNSEEN, [source.key], args)
                # What is owed is here, and its release is on its way: it is not handed out again.
                unseen = [each for each in owned if each[2] and each[0] not in source.owed]
                feed.taken_over(source, unseen, at)
                for id, _, fields in owned:
                    if not fields:
                        feed.ghosts += 1
                        feed.settled_elsewhere(source, id)
                if len(owned) < _UNSEEN_AT_ONCE:
                    break
                first = f"({owned[-1][0].decode()}"

    async def _bring_back(self) -> None:
        for source in await self._aside.come_back():
            self.add(source)
            await self._mend(source)

    async def _refused(self, error: Refused) -> None:
        """A group or a stream that somebody took away is made again, where nothing is lost. What is
        no stream any more is left out."""
        since = time.monotonic() - self._mended_at
        try:
            if error.code in GONE and since >= _PAUSE:
                await self._mend_all(error)
            elif error.retryable or not await self._leave_out():
                self._feed.broken(error)
        except TransportError as again:
            self._feed.broken(again)

    async def _mend_all(self, error: Refused) -> None:
        self._mended_at = time.monotonic()
        _log.error(
            "group %r: %s. Its groups are made again, from the last entry that was read",
            self._feed.group.name,
            error,
        )
        for source in list(self.sources.values()):
            await self._mend(source)

    async def _leave_out(self) -> bool:
        """Whether there is something that can be read without what cannot."""
        out = await self._aside.sort_out(self.sources.values())
        self.sources = {k: s for k, s in self.sources.items() if s not in out}
        self._full = {}
        return bool(out)
