"""Which shards this member has: taking them, keeping them, giving them to others.

A shard is leased to one member of a group. A member takes what is free up to its share, and asks
for more by wishing for shards of those who have too many; these give up what is wished for, and
nothing else. So a member that says what it wishes and then dies moves one shard at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from random import shuffle
from typing import Any

import msgspec

from busway import TransportError

from ._answers import answers
from ._errors import Refused
from ._feed import RedisFeed
from ._joining_scripts import ANNOUNCE
from ._lease import Lease
from ._shard_scripts import FREE_LEASE, RENEW, TAKE
from ._sharing import Said, share_of, wishes
from ._source import Source
from ._tenure import Shard, Tenure

__all__ = ["Shards"]

_log = logging.getLogger("busway.redis")

_TICK = 0.25
_LOOK = 1.0
"""Seconds between looks at shards that are not ours, and after which a free one is taken by any."""
_PARTLY = 4.0
"""The same for one whose events are not read here, only what the group tried again."""
_AT_ONCE = 500


class Shards:
    """Of one feed."""

    def __init__(
        self,
        feed: RedisFeed,
        read: Callable[[list[Source]], None],
        mend: Callable[[Source], Awaitable[None]],
        run: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._feed = feed
        self._read = read
        self._mend = mend
        self._run = run
        self._shards: dict[str, Shard] = {}
        """By the key of the lease."""
        self._said = Said()
        self._said_at = self._looked_at = float("-inf")
        self._wishes: tuple[str, ...] = ()
        self._served: dict[tuple[str, str], float] = {}
        self._doubtful: set[Shard] = set()
        """An answer did not come: they may be ours."""

    @property
    def tenures(self) -> list[Tenure]:
        """Also those that are given up."""
        return [each.tenure for each in self._shards.values() if each.tenure is not None]

    # --- what there is ----------------------------------------------------------------------------

    def offer(self, sources: Iterable[Source]) -> None:
        """These may be read by who has their shards."""
        feed = self._feed
        for source in sources:
            shard = Shard(feed.keys, feed.group.name, source.channel, source.shard)
            shard = self._shards.setdefault(shard.lease, shard)
            shard.sources[source.key] = source
            if shard.tenure is not None and not shard.tenure.leaving:
                self._begin(shard.tenure)

    def forget(self, channels: Iterable[str]) -> None:
        """The events of these are not read here any more: somebody else may read them."""
        gone = set(channels)
        for shard in self._shards.values():
            if shard.channel in gone:
                shard.sources = {k: s for k, s in shard.sources.items() if s.deletes}
                if shard.tenure is not None and not shard.tenure.leaving:
                    self._give_up(shard.tenure)

    # --- as long as the feed is open --------------------------------------------------------------

    async def start(self) -> None:
        """Take a first share. Raises TransportError."""
        await self._balance()
        self._run(self._renewing())
        self._run(self._balancing())

    async def stop(self) -> None:
        """Give everything back. Its tasks have ended. Raises nothing."""
        feed = self._feed
        for tenure in self.tenures:
            with contextlib.suppress(TransportError):
                await tenure.free()
            tenure.end()
        for shard in self._doubtful:
            with contextlib.suppress(TransportError):
                await feed.topology.script(FREE_LEASE, [shard.lease], ("", feed.member))
        key = feed.keys.sharing(feed.group.name)
        with contextlib.suppress(TransportError):
            await feed.topology.call(key, "HDEL", key, feed.member)

    async def _renewing(self) -> None:
        third = self._feed.lease / 3
        pause = third
        while True:
            await asyncio.sleep(pause)
            pause = third if await self._renew() else min(third / 4, _TICK)

    async def _renew(self) -> bool:
        tenures = [each for each in self.tenures if not each.lease.ended]
        step = 1 if self._feed.topology.one_slot else _AT_ONCE
        parts = [tenures[first : first + step] for first in range(0, len(tenures), step)]
        told = await asyncio.gather(*map(self._prolong, parts), return_exceptions=True)
        for each in told:
            if isinstance(each, BaseException) and not isinstance(each, TransportError):
                raise each
        return not any(isinstance(each, BaseException) for each in told)

    async def _prolong(self, tenures: list[Tenure]) -> None:
        at, seconds = time.monotonic(), self._feed.lease
        keys = [each.lease.key for each in tenures]
        values = [each.lease.value for each in tenures]
        lost = await self._feed.topology.script(RENEW, keys, (round(seconds * 1000), *values))
        for place, tenure in enumerate(tenures):
            ours = place not in lost and tenure.lease.agreed(at, seconds)
            if not ours and not tenure.lease.over:
                tenure.lost()

    async def _balancing(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            # Who tends the feed says so when the server cannot be reached.
            with contextlib.suppress(TransportError):
                await self._balance()

    async def _balance(self) -> None:
        for tenure in self.tenures:
            if not tenure.lease.over and tenure.lease.ended:
                tenure.lost()
        for shard in self._shards.values():
            if shard.tenure is not None and shard.tenure.lease.over:
                shard.tenure = None
        if not self._shards and not self._said.has:
            return
        others = await self._tell()
        self._serve(others)
        await self._take(others)
        if self._said != self._now():
            await self._tell()

    # --- the others -------------------------------------------------------------------------------

    def _mine(self) -> list[Tenure]:
        """Those that count."""
        return [each for each in self.tenures if each.shard.whole and not each.leaving]

    def _now(self) -> Said:
        return Said(len(self._mine()), self._wishes)

    async def _tell(self) -> dict[str, Said]:
        """Tell the others how things stand here, and hear from them."""
        feed, said = self._feed, self._now()
        presence = round(feed.lease * 1000)
        late = time.monotonic() - self._said_at > feed.lease / 4
        member = feed.member if late or said != self._said else ""
        at = time.monotonic()
        args = (member, msgspec.json.encode(said), presence)
        told = await feed.topology.script(ANNOUNCE, [feed.keys.sharing(feed.group.name)], args)
        if member:
            self._said, self._said_at = said, at
        others = {
            name.decode(): msgspec.json.decode(each, type=Said)
            for name, each in zip(told[::2], told[1::2], strict=True)
        }
        others.pop(feed.member, None)
        return others

    def _share(self, others: dict[str, Said]) -> tuple[int, dict[str, int]]:
        """How many shards count, and who has how many."""
        total = sum(shard.whole for shard in self._shards.values())
        has = {name: each.has for name, each in others.items()}
        return total, {**has, self._feed.member: len(self._mine())}

    def _serve(self, others: dict[str, Said]) -> None:
        """Give up what others wish for and is too much here."""
        total, has = self._share(others)
        surplus = len(self._mine()) - share_of(self._feed.member, total, has)
        now = time.monotonic()
        for name, said in others.items():
            for wish in said.wishes:
                shard = self._shards.get(wish)
                if shard is None or shard.tenure is None or shard.tenure.leaving:
                    continue
                if (shard.whole and surplus <= 0) or self._served.get((name, wish), 0.0) > now:
                    continue
                # Not again soon: who does not take it may be gone.
                self._served[name, wish] = now + self._feed.lease
                surplus -= shard.whole
                self._give_up(shard.tenure)

    async def _take(self, others: dict[str, Said]) -> None:
        total, has = self._share(others)
        wanted = share_of(self._feed.member, total, has) - has[self._feed.member]
        foreign = [shard for shard in self._shards.values() if shard.tenure is None]
        now = time.monotonic()
        if not foreign or (wanted <= 0 and now - self._looked_at < _LOOK):
            self._wishes = ()
            return
        self._looked_at = now
        await self._look(foreign)
        free = [each for each in foreign if each.seen in (None, self._feed.member)]
        shuffle(free)
        taken: list[Shard] = []
        for shard in free:
            waited = time.monotonic() - (shard.free_since or now)
            if shard.whole and (wanted > 0 or waited >= _LOOK):
                taken.append(shard)
                wanted -= 1
            elif not shard.whole and waited >= _PARTLY:
                taken.append(shard)
        await asyncio.gather(*map(self._try, taken))
        held = [each for each in foreign if each.whole and each.tenure is None and each.seen]
        partly = [each.lease for each in held if each.part]
        more = wishes(wanted, total, has, (each for each in held if not each.part))
        self._wishes = (*partly, *more)

    async def _look(self, shards: list[Shard]) -> None:
        begin = self._feed.topology.begin
        begun = [begin(shard.lease, "GET", shard.lease) for shard in shards]
        values = await answers(begun, self._feed.timeout)
        for shard, value in zip(shards, values, strict=True):
            shard.look(value)

    # --- one shard --------------------------------------------------------------------------------

    async def _try(self, shard: Shard) -> None:
        """Take it, if nobody was faster. Raises TransportError."""
        feed, at = self._feed, time.monotonic()
        mark = "whole" if shard.whole else "part"
        args = (feed.member, mark, round(feed.lease * 1000))
        self._doubtful.add(shard)
        value: bytes = await feed.topology.script(TAKE, [shard.lease, shard.fence], args)
        self._doubtful.discard(shard)
        shard.look(value)
        if shard.seen == feed.member:
            lease = Lease(shard.lease, value.decode(), int(value.partition(b" ")[0]))
            lease.agreed(at, feed.lease)
            shard.tenure = Tenure(feed, shard, lease)
            self._begin(shard.tenure)

    def _begin(self, tenure: Tenure) -> None:
        self._run(self._taking_over(tenure, tenure.begin()))

    async def _taking_over(self, tenure: Tenure, sources: list[Source]) -> None:
        while not tenure.leaving:
            try:
                await tenure.take_over(sources)
                break
            except TransportError as error:
                await asyncio.sleep(_TICK)
                if isinstance(error, Refused) and error.code == "NOGROUP":
                    with contextlib.suppress(TransportError):
                        for source in sources:
                            await self._mend(source)
        if not tenure.leaving:
            self._read(sources)

    def _give_up(self, tenure: Tenure) -> None:
        tenure.leaving = True
        self._run(self._giving_up(tenure))

    async def _giving_up(self, tenure: Tenure) -> None:
        try:
            await tenure.give_up(self._feed.lease)
        except TransportError as error:
            _log.warning("group %r: %s", self._feed.group.name, error)
        while not tenure.lease.ended:
            try:
                await tenure.free()
            except TransportError:
                await asyncio.sleep(_TICK)
        if not tenure.lease.over:
            tenure.lost()
