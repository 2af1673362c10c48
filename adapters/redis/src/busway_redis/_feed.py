"""What one process of one group receives from Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from busway import TransportError
from busway.transport import Delivery, Group

from ._keys import Keys
from ._options import Options
from ._ready import Ready
from ._scripts import HAND
from ._settling import Settling
from ._source import BELL, Source
from ._topology import Topology

__all__ = ["RedisFeed"]

_FULL = 16
_TURNS_TO_WRITE = 2
"""Of the event loop: the reader's, which asks, and the link's, which writes."""


class RedisFeed(Settling):
    """Powers: Extends, Moves, Follows.

    A reader of its own fetches into ``ready``; ``receive`` only takes from there, so that it can be
    cancelled at any moment, which a command on its way to Redis cannot.
    """

    def __init__(
        self, topology: Topology, keys: Keys, group: Group, options: Options, member: str
    ) -> None:
        super().__init__(topology, keys, group, options, member)
        self.ready = Ready()
        self.demand = asyncio.Event()
        """Somebody wants more than there is."""
        self.limit = 1
        self.asked_at = time.monotonic()
        """When ``receive`` was called last."""
        self.lost_in_wait = 0
        """Of what was fetched ahead."""
        self.ghosts = 0
        """Entries that were trimmed or deleted while they were pending."""
        self.claim: Callable[[], Awaitable[None]] = _nothing_more
        """Takes over what was given back."""
        self.listening: Any = None
        """What reads and tends."""
        self._trouble: TransportError | None = None
        self._failure: BaseException | None = None
        self._waiting = False

    def __repr__(self) -> str:
        return f"<RedisFeed of group {self.group.name!r}>"

    async def receive(self, limit: int, /) -> Sequence[Delivery]:
        self.limit = limit
        self.asked_at = time.monotonic()
        while True:
            if _FULL <= len(self.ready.fresh) <= limit and not self.demand.is_set():
                await self._ask_ahead()
            trouble, self._trouble = self._trouble, None
            if trouble is not None:
                raise trouble
            if self._failure is not None:
                raise RuntimeError(f"{self!r}: {self._failure!r}") from self._failure
            if self.heard or self.sorting:
                await self._wait()
                continue
            taken = self._started(self.ready.take(limit))
            if taken:
                return taken
            suspect = self.ready.suspect()
            if suspect is not None:
                if len(self.ready.fresh) < limit:
                    self.demand.set()  # they take turns
                if await self._record(suspect):
                    return [suspect]
                continue
            if not self.ready:
                await self._wait()

    async def _ask_ahead(self) -> None:
        """There is much to do: the next is fetched while this is handled. Handlers may never wait,
        so the command is let out of the door now, and before anything is taken, since receiving may
        be cancelled here."""
        self.demand.set()
        for _ in range(_TURNS_TO_WRITE):
            await asyncio.sleep(0)

    async def _wait(self) -> None:
        self._arrival.clear()
        self.demand.set()
        self._waiting = True
        try:
            await self._arrival.wait()
        finally:
            self._waiting = False

    def _started(self, taken: list[Delivery]) -> list[Delivery]:
        """Without those of a shard that is not ours any more: its next owner has them."""
        if not taken or taken[0].loan is None:
            return taken
        ours: list[Delivery] = []
        for each in taken:
            if each.lost:
                source, id, _ = each.receipt
                source.held.discard(id)
                self.lost_in_wait += 1
            else:
                ours.append(each)
        return ours

    async def _record(self, suspect: Delivery) -> bool:
        """It was handed out before and never settled: count this time before it starts, and let it
        come alone. If it kills the process again, nobody else is blamed."""
        source, id, _ = suspect.receipt
        args = (self.group.name, self.member, id, suspect.delivered)
        owned = await self.topology.script(HAND, [source.key], args)
        if suspect not in self.ready.suspects:
            return False  # taken back meanwhile
        self.ready.remove(suspect)
        if not owned or suspect.lost:
            source.held.discard(id)
            self.lost_in_wait += 1
            return False
        return True

    def arrived(self, source: Source, entries: Iterable[Sequence[Any]], at: float) -> None:
        """New entries, read for the first time by anybody."""
        if source.loan is not None and source.loan.revoked:
            return  # whoever has it next takes them over
        held, append = source.held, self.ready.fresh.append
        id = b""
        for id, fields in entries:
            if fields is None:
                self.ghosts += 1
                self.settled_elsewhere(source, id)
            elif fields[0] != BELL:
                held.add(id)
                append(source.delivery(id, fields, at))
        if id:
            source.high = id
        self.demand.clear()
        self._arrival.set()

    def taken_over(self, source: Source, entries: Iterable[Sequence[Any]], at: float) -> None:
        """Entries that somebody had before: each with how often it was handed out."""
        if source.loan is not None and source.loan.revoked:
            return
        more: list[Delivery] = []
        for id, count, fields in entries:
            owed = source.owed.pop(id, None)
            if owed is not None:
                owed.expired = True  # its loan ended, or it was given back after all
            elif id in source.held:
                if id in source.told:
                    # It was handled, and nobody insists any more on telling.
                    self.settled_elsewhere(source, id)
                    source.held.discard(id)
                    source.told.discard(id)
                continue
            if fields[0] == BELL:
                self.hear(source, id)
                continue
            source.held.add(id)
            more.append(source.delivery(id, fields, at, delivered=count + 1))
        if more:
            self.ready.taken_over(more)
            self._arrival.set()

    def hear(self, source: Source, id: bytes) -> None:
        """A bell was rung: something was given back."""
        self.settled_elsewhere(source, id)
        self.heard.add(source.channel)

    def broken(self, error: TransportError) -> None:
        """Nothing can be read now: whoever waits is told. Who comes later finds out anew."""
        self.demand.clear()
        if self._waiting or not error.retryable:
            self._trouble = error
            self._arrival.set()

    def failed(self, error: BaseException) -> None:
        """What reads or tends met what it does not know, and has ended. ``receive`` says so from
        now on: this stops the bus, and a feed that is silent does not."""
        self._failure = error
        self._arrival.set()

    async def follow(self, group: Group, /) -> None:
        await self.listening.follow(group)

    def take_back(self) -> list[Delivery]:
        """What is fetched ahead and was not handed out."""
        return self.ready.take_back()

    def keep(self, deliveries: Iterable[Delivery]) -> None:
        """These were taken back, and the server could not be told: they lie ready as before, in
        front of what is new."""
        kept: list[Delivery] = []
        for delivery in deliveries:
            source, id, _ = delivery.receipt
            if id in source.held and not delivery.lost:
                source.owed.pop(id, None)
                kept.append(delivery)
        self.ready.taken_over(kept)
        self._arrival.set()


async def _nothing_more() -> None:
    """Nobody tends this feed yet."""
