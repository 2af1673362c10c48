"""What a feed needs beside reading: what is due, what nobody looks after, what is new."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from random import uniform
from typing import TypeVar

from busway import TransportError

from ._claiming import Claiming
from ._errors import Refused
from ._feed import RedisFeed
from ._joining import PRESENCE, Joining
from ._keys import Keys
from ._scripts import DUE, SWEEP
from ._source import Source

__all__ = ["Tending"]

_log = logging.getLogger("busway.redis")

_T = TypeVar("_T")

_TICK = 0.25
_AT_LEAST = 0.001
_AGAIN = 1.0
"""Seconds after which is tried again what failed."""
_MOVED_AT_ONCE = 500
_UNWANTED = 1.0
_SWEEP = 60.0
_BEGINNING = ("0-0", b"0-0")


class Tending:
    """One task of a feed; what it does is done by every member, and by each only once."""

    def __init__(
        self,
        feed: RedisFeed,
        joining: Joining,
        add: Callable[[list[Source]], None],
    ) -> None:
        self._feed = feed
        self._joining = joining
        self._add = add
        self._claiming = Claiming(feed)
        self._poked = asyncio.Event()
        self._failing: set[str] = set()
        self._jobs: list[tuple[str, Callable[[], Awaitable[None]], Callable[[], float]]] = [
            ("move", self._move_due, lambda: _TICK),
            ("go on", self._go_on, lambda: 0.0),
            ("claim", self._claim_all, lambda: feed.lease / 4 * uniform(0.5, 0.9)),
            ("extend", self._extend, lambda: feed.lease / 3),
            ("discover", self._discover, lambda: _TICK),
            ("announce", self._announce, lambda: PRESENCE / 3),
            ("sweep", self._sweep, lambda: _SWEEP),
            ("give back", self._give_back, lambda: _UNWANTED),
        ]
        self._at = dict.fromkeys((name for name, _, _ in self._jobs), 0.0)
        feed.poke = self._poke
        feed.claim = self._claiming.heard

    async def run(self) -> None:
        """Until cancelled."""
        now = time.monotonic()
        for name, _, every in self._jobs:
            self._at[name] = now + (0.0 if name in {"move", "claim"} else every())
        while True:
            await self._once()
            await self._sleep()

    async def _sleep(self) -> None:
        # What a dead member had is taken over within a quarter of the lease, not a tick later.
        first = min(self._at[name] for name in ("move", "claim", "discover"))
        wait = min(max(_AT_LEAST, first - time.monotonic()), _TICK)
        timer = asyncio.get_running_loop().call_later(wait, self._poked.set)
        await self._poked.wait()
        timer.cancel()
        self._poked.clear()

    def _poke(self) -> None:
        """Something may be due sooner than was known."""
        if "move" not in self._failing:
            self._at["move"] = 0.0
        self._poked.set()

    async def _once(self) -> None:
        for name, do, every in self._jobs:
            if time.monotonic() >= self._at[name]:
                self._at[name] = time.monotonic() + every()
                if not await self._do(name, do):
                    return

    async def _do(self, name: str, do: Callable[[], Awaitable[None]]) -> bool:
        """False: nothing can be done now. What is refused stops nothing else."""
        try:
            await do()
        except TransportError as error:
            if not self._failing:
                _log.warning("group %r: not tended now: %s", self._feed.group.name, error)
            self._failing.add(name)
            self._at[name] = time.monotonic() + _AGAIN
            return isinstance(error, Refused)
        if name in self._failing:
            self._failing.remove(name)
            if not self._failing:
                _log.warning("group %r: tended again", self._feed.group.name)
        return True

    async def _go_on(self) -> None:
        """There was no room for all that was left behind."""
        if len(self._feed.ready.suspects) < Claiming.ENOUGH // 2:
            await self._each(
                self._claiming.left_behind,
                [s for s in self._feed.sources.values() if s.cursor not in _BEGINNING],
            )

    async def _each(self, do: Callable[[_T], Awaitable[object]], every: Iterable[_T]) -> None:
        """What one is refused for is no reason to leave out the others."""
        refused: Refused | None = None
        for one in every:
            try:
                await do(one)
            except Refused as error:
                if error.retryable:
                    raise  # it is the server
                refused = error
        if refused is not None:
            raise refused

    async def _move_due(self) -> None:
        """What is due goes where it is read: a group's retries to its own stream, an event that was
        published with a delay to its channel."""
        feed, keys = self._feed, self._feed.keys
        pairs: list[str] = []
        for source in feed.sources.values():
            waits = _waiting_room(keys, source, feed.group.name)
            if waits is not None:
                pairs += (waits, source.key)
        step = 2 if feed.topology.one_slot or "move" in self._failing else len(pairs) or 2
        await self._each(
            self._move, [pairs[first : first + step] for first in range(0, len(pairs), step)]
        )

    async def _move(self, pairs: list[str]) -> None:
        while True:
            moved, next_due = await self._feed.topology.script(DUE, pairs, (_MOVED_AT_ONCE,))
            if next_due >= 0:
                due = time.monotonic() + max(_AT_LEAST, next_due / 1000)
                self._at["move"] = min(self._at["move"], due)
            if moved < _MOVED_AT_ONCE:
                return

    async def _claim_all(self) -> None:
        """Take over what nobody has prolonged for a lease."""
        await self._each(self._claiming.left_behind, list(self._feed.sources.values()))

    async def _extend(self) -> None:
        """What is fetched ahead is ours as long as we say so."""
        feed = self._feed
        if feed.ready:
            for lost in await feed.extend(list(feed.ready)):
                feed.lost_in_wait += 1
                if lost in feed.ready:
                    feed.ready.remove(lost)

    async def _discover(self) -> None:
        self._add(await self._joining.discover())

    async def _announce(self) -> None:
        await self._joining.announce()

    async def _give_back(self) -> None:
        """Nobody asks for what was fetched ahead: others may."""
        feed = self._feed
        if feed.ready and not feed.demand.is_set() and feed.asked_at < time.monotonic() - _UNWANTED:
            back = feed.take_back()
            try:
                await feed.release(back)
            except BaseException:
                feed.keep(back)
                raise

    async def _sweep(self) -> None:
        """Forget the names of processes that are gone."""
        await self._each(self._sweep_one, list(self._feed.sources.values()))

    async def _sweep_one(self, source: Source) -> None:
        feed = self._feed
        args = (feed.group.name, round(10 * feed.lease * 1000), int(source.deletes))
        await feed.topology.script(SWEEP, [source.key], args)


def _waiting_room(keys: Keys, source: Source, group: str) -> str | None:
    if not source.deletes:
        return keys.later(source.channel, source.shard)
    if source.key == keys.retry(source.channel, group, source.shard):
        return keys.delay(source.channel, group, source.shard)
    if source.key == keys.passed(source.channel, group, source.shard):
        return keys.passing(source.channel, group, source.shard)
    return None
