"""What one process of one group receives from Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from busway import Envelope, TransportError
from busway.transport import Delivery, Group, Outgoing, Purpose

from ._answers import answers, unheard
from ._keys import Keys
from ._lease import Lease
from ._link import Argument
from ._moving import move_arguments
from ._options import Options
from ._ready import Ready
from ._returning import give_back
from ._scripts import EXTEND, HAND, MOVE, RELEASE
from ._shard_scripts import DONE
from ._source import BELL, Source
from ._topology import Topology

__all__ = ["FREE", "RedisFeed"]

FREE = 10**10
"""Milliseconds of idleness that nobody's lease is as long as: what has them is free."""
_SURE = 0.8
"""The part of a lease after which a loan is asked for before it is taken for ours."""
_FULL = 16
_TURNS_TO_WRITE = 2
"""Of the event loop: the reader's, which asks, and the link's, which writes."""


class RedisFeed:
    """Powers: Extends, Moves, Follows.

    A reader of its own fetches into ``ready``; ``receive`` only takes from there, so that it can be
    cancelled at any moment, which a command on its way to Redis cannot.
    """

    def __init__(
        self, topology: Topology, keys: Keys, group: Group, options: Options, member: str
    ) -> None:
        self.topology = topology
        self.keys = keys
        self.group = group
        self.member = member
        self.lease = options.lease
        self.timeout = options.timeout
        self.sources: dict[str, Source] = {}
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
        self.heard: set[str] = set()
        """Channels in which something was given back, here or by another. It is older than what is
        fetched ahead, which waits until it is taken over."""
        self.sorting = 0
        """How many are taking it over."""
        self.claim: Callable[[], Awaitable[None]] = _nothing_more
        """Takes over what was given back."""
        self.poke: Callable[[], None] = _nothing
        """Lets whoever tends the feed look at once."""
        self.listening: Any = None
        """What reads and tends."""
        self._arrival = asyncio.Event()
        self._trouble: TransportError | None = None
        self._failure: BaseException | None = None
        self._waiting = False

    def __repr__(self) -> str:
        return f"<RedisFeed of group {self.group.name!r}>"

    # --- receiving --------------------------------------------------------------------------------

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

    def sorted(self) -> None:
        """What was given back stands where it belongs."""
        self._arrival.set()

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

    def settled_elsewhere(self, source: Source, id: bytes) -> None:
        """Nobody needs it any more. Should this be lost, it is done again when it is taken over."""
        unheard(self.topology.begin(source.key, "XACK", source.key, self.group.name, id))
        if source.deletes:
            unheard(self.topology.begin(source.key, "XDEL", source.key, id))

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

    # --- settling ---------------------------------------------------------------------------------

    async def ack(self, deliveries: Sequence[Delivery], /) -> int:
        sure_since = time.monotonic() - self.lease * _SURE
        if deliveries:
            # Nearly always: of one stream, and surely ours.
            source: Source = deliveries[0].receipt[0]
            some = {
                id: None
                for of, id, at in [each.receipt for each in deliveries]
                if of is source and at >= sure_since
            }
            if len(some) == len(deliveries) and source.lease is None and source.holds(some):
                return await self._ack({source: some})
        return await self._ack_each(deliveries, sure_since)

    async def _ack_each(self, deliveries: Sequence[Delivery], sure_since: float) -> int:
        ids: dict[Source, dict[bytes, None]] = {}
        doubtful: list[Delivery] = []
        lost = 0
        for delivery in deliveries:
            source, id, at = delivery.receipt
            if id not in source.held:
                # Acknowledged before, or lost before.
                lost += delivery.expired or id in source.gone
                source.gone.discard(id)
            elif at < sure_since and source.lease is None:
                doubtful.append(delivery)
            else:
                ids.setdefault(source, {})[id] = None
        if doubtful:
            gone = await self.extend(doubtful)
            lost += len(gone)
            for delivery in doubtful:
                if not delivery.expired:
                    source, id, _ = delivery.receipt
                    ids.setdefault(source, {})[id] = None
        free = {source: acked for source, acked in ids.items() if source.lease is None}
        if free:
            lost += await self._ack(free)
        for source, acked in ids.items():
            if source.lease is not None:
                lost += await self._done(source, source.lease, acked)
        return lost

    async def _ack(self, ids: dict[Source, dict[bytes, None]]) -> int:
        """Acknowledge what is ours, in one write however many streams it came from; how many were
        not."""
        begin, group = self.topology.begin, self.group.name
        begun = {
            source: begin(source.key, "XACK", source.key, group, *acked)
            for source, acked in ids.items()
        }
        deletes = [
            begin(source.key, "XDEL", source.key, *acked)
            for source, acked in ids.items()
            if source.deletes
        ]
        missing = 0
        try:
            await answers([*begun.values(), *deletes], self.timeout)
        finally:
            for source, future in begun.items():
                if future.cancelled() or not future.done() or future.exception() is not None:
                    source.told.update(ids[source])
                else:
                    missing += self._missing(source, ids[source], future.result())
        return missing

    async def _done(self, source: Source, lease: Lease, ids: dict[bytes, None]) -> int:
        """The same, where only the owner of a shard may."""
        args: list[Argument] = [lease.value, self.group.name, int(source.deletes), *ids]
        try:
            count: int = await self.topology.script(DONE, [lease.key, source.key], args)
        except BaseException:
            source.told.update(ids)
            raise
        if count < 0:
            lease.loan.revoke()
            count = 0
        return self._missing(source, ids, count)

    def _missing(self, source: Source, ids: dict[bytes, None], count: int) -> int:
        """How many of these were lost, when so many were acknowledged."""
        source.held.difference_update(ids)
        missing = len(ids) - count
        if source.told:
            # What was acknowledged by a command whose answer did not come is not lost.
            missing -= min(missing, len(source.told.intersection(ids)))
            source.told.difference_update(ids)
        return missing

    async def release(self, deliveries: Sequence[Delivery], /) -> None:
        await give_back(deliveries, self._release)

    async def _release(self, source: Source, given: Mapping[bytes, Delivery]) -> None:
        args: list[Argument] = [self.group.name, self.member, FREE]
        for id, delivery in given.items():
            args += (id, max(0, delivery.delivered - 1))
        self.sorting += 1
        try:
            await self.topology.script(RELEASE, [source.key, source.bell], args)
        finally:
            self.sorting -= 1
            if self.sources.get(source.key) is source:
                self.heard.add(source.channel)
            self.sorted()

    async def move(self, delivery: Delivery, item: Outgoing, /) -> bool:
        source, id, _ = delivery.receipt
        if id not in source.held:
            return False
        theirs = self._is_theirs(source, item)
        key, rest = move_arguments(self.keys, source, item, theirs=theirs)
        moved = await self.topology.script(
            MOVE, [source.key, key], (self.group.name, self.member, id, *rest)
        )
        source.held.discard(id)
        if theirs:
            key = self.keys.passed(source.channel, self.group.name, source.shard)
            if key in self.sources:
                self.sources[key].rest()
        if source.deletes and moved:
            unheard(self.topology.begin(source.key, "XDEL", source.key, id))
        if item.due is not None:
            self.poke()
        delivery.expired = delivery.expired or not moved
        return bool(moved)

    def _is_theirs(self, source: Source, item: Outgoing) -> bool:
        """Whether it is tried again by another member, because no handler is here: only the owner
        of a shard reads what is in it."""
        content = item.content
        return (
            source.loan is not None
            and item.address.purpose is Purpose.RETRY
            and isinstance(content, Envelope)
            and not self.group.matches(content.type)
        )

    async def extend(self, deliveries: Sequence[Delivery], /) -> Sequence[Delivery]:
        by_source: dict[Source, dict[bytes, Delivery]] = {}
        lost: list[Delivery] = []
        for delivery in deliveries:
            source, id, _ = delivery.receipt
            if id not in source.held:
                if delivery.expired or id in source.gone:
                    lost.append(delivery)
            elif source.lease is None:
                by_source.setdefault(source, {})[id] = delivery
            elif source.lease.ended:
                lost.append(delivery)  # else the shard is prolonged, with all that is lent of it
        for source, held in by_source.items():
            now = time.monotonic()
            args: list[Argument] = [self.group.name, self.member, *held]
            gone = set(await self.topology.script(EXTEND, [source.key], args))
            for id, delivery in held.items():
                if id not in gone:
                    delivery.receipt = (source, id, now)
                elif id in source.held:  # else it was settled meanwhile
                    delivery.expired = True
                    source.held.discard(id)
                    source.owed.pop(id, None)
                    lost.append(delivery)
        return lost

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


def _nothing() -> None:
    """Nobody tends this feed yet."""


async def _nothing_more() -> None:
    """Nobody tends this feed yet."""
