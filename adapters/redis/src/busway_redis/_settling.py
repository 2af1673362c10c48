"""What one process of one group does with what it was lent: settle it, or keep it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from busway import Envelope
from busway.transport import Delivery, Group, Outgoing, Purpose

from ._answers import answers, unheard
from ._keys import Keys
from ._lease import Lease
from ._link import Argument
from ._moving import move_arguments
from ._options import Options
from ._returning import give_back
from ._scripts import EXTEND, MOVE, RELEASE
from ._shard_scripts import DONE
from ._source import Source
from ._topology import Topology

__all__ = ["FREE", "Settling"]

FREE = 10**10
"""Milliseconds of idleness that nobody's lease is as long as: what has them is free."""
_SURE = 0.8
"""The part of a lease after which a loan is asked for before it is taken for ours."""


class Settling:
    """The half of a feed that settles. It knows what is held, by source; not how it came."""

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
        self.heard: set[str] = set()
        """Channels in which something was given back, here or by another. It is older than what is
        fetched ahead, which waits until it is taken over."""
        self.sorting = 0
        """How many are taking it over."""
        self.poke: Callable[[], None] = _nothing
        """Lets whoever tends the feed look at once."""
        self._arrival = asyncio.Event()
        """There is more to receive than there was."""

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

    def settled_elsewhere(self, source: Source, id: bytes) -> None:
        """Nobody needs it any more. Should this be lost, it is done again when it is taken over."""
        unheard(self.topology.begin(source.key, "XACK", source.key, self.group.name, id))
        if source.deletes:
            unheard(self.topology.begin(source.key, "XDEL", source.key, id))

    def sorted(self) -> None:
        """What was given back stands where it belongs."""
        self._arrival.set()


def _nothing() -> None:
    """Nobody tends this feed yet."""
