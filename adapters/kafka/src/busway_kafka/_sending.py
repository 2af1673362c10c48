"""From items to records: which topic, which partition, what stands in it."""

from __future__ import annotations

import itertools
import random
import time
import uuid
from collections.abc import Sequence
from typing import Literal

import anyio

from busway import BuswayError, Envelope, TooLarge, TransportError
from busway.transport import Address, NotWritten, Outcome, Outgoing, Purpose

from ._batch import Entry, size_of
from ._client import Client
from ._murmur import partition_of
from ._names import Names
from ._options import Options
from ._producing import Producer
from ._tiers import NOW, tier_for
from ._topics import Topics
from ._wire import written

__all__ = ["Sending"]

_Fields = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]
"""Key, value and headers."""


class Sending:
    """Of one transport."""

    def __init__(
        self, client: Client, options: Options, names: Names, topics: Topics, producer: Producer
    ) -> None:
        self._leaders = client
        self._mode: Literal["structured", "binary"] = options.mode
        self._names = names
        self._topics = topics
        self._producer = producer
        self._round = itertools.count()
        self._most = options.max_size
        self._near = options.max_size // 2

    async def send(
        self, items: Sequence[Outgoing], timeout: float, *, put_off: bool = False
    ) -> Sequence[Outcome]:
        """See ``Transport.send``. ``put_off``: these are early, and no member has tried them."""
        until = time.monotonic() + timeout
        if len(items) == 1 and (alone := self._at_once(items[0], put_off)) is not None:
            # Without a coroutine more than has to be: most of what one event costs is such.
            entries = (alone,)
            waiting = self._producer.begin(entries, until)
            try:
                await waiting.future
            finally:
                outcomes = self._producer.end(entries, waiting)
            return outcomes
        return await self._send(items, until, put_off)

    def _at_once(self, item: Outgoing, put_off: bool) -> Entry | None:
        """None: there is no such topic yet, or something is wrong with it."""
        try:
            return self._record(item, put_off)
        except BuswayError:
            return None

    async def _send(
        self, items: Sequence[Outgoing], until: float, put_off: bool
    ) -> Sequence[Outcome]:
        entries: list[Entry] = []
        refused: list[tuple[int, BaseException]] = []
        for place, item in enumerate(items):
            try:
                while (entry := self._record(item, put_off)) is None:
                    await self._make_room(item, until)
                entries.append(entry)
            except BuswayError as error:
                refused.append((place, error))
        if self._topics.closed:  # while one of their topics was being made
            return [NotWritten(TransportError("the transport was closed"))] * len(items)
        outcomes = await self._producer.write(entries, until) if entries else []
        for place, problem in refused:
            outcomes.insert(place, NotWritten(problem))
        return outcomes

    def _record(self, item: Outgoing, put_off: bool) -> Entry | None:
        """None: there is no such topic yet. Raises BuswayError."""
        address = item.address
        purpose = address.purpose
        if purpose is Purpose.EVENT:
            topic = self._names.topic(address)
            width = len(self._leaders.leaders.get(topic, ()))
            if not width:
                return None
            key, value, headers = self._written(item)
            number = next(self._round) % width if key is None else partition_of(key, width)
            return Entry(topic, number, key, value, headers)
        return self._record_of_group(item, put_off)

    def _record_of_group(self, item: Outgoing, put_off: bool) -> Entry | None:
        """The same of what is for one group."""
        address = item.address
        purpose = address.purpose
        topic = self._names.topic(address, _tier(item) if purpose is Purpose.RETRY else NOW)
        width = self._leaders.partitions(topic)
        if not width:
            return None
        key, value, headers = self._written(item)
        if purpose is Purpose.DEAD:
            # A letter's own: two of one event are two letters, and each can be removed alone.
            key = uuid.uuid4().hex.encode()
        failed = item.story is not None and item.story.attempts > 0
        if purpose is Purpose.RETRY and not failed and not put_off:
            # Its member has no handler for it and another has: whose partition that is, is not
            # known here, and the one of its key would come back to the same member for ever.
            number = random.randrange(width)
        else:
            there = width
            if purpose is Purpose.RETRY:  # it may have more of them than its channel
                events = self._names.topic(Address(address.channel))
                width = self._leaders.partitions(events) or width
            number = next(self._round) % width if key is None else partition_of(key, width)
            number %= there  # or fewer, where partitions were added to the channel since
        return Entry(topic, number, key, value, headers)

    def _written(
        self, item: Outgoing
    ) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
        """Raises BuswayError."""
        record = key, value, headers = written(item, self._mode)
        # One header, and much room left: nearly all events of ours, and they need no sum.
        if len(headers) > 1 or len(value or b"") > self._near:
            self._see_that_it_fits(item, size_of(key, value, headers))
        return record

    def _see_that_it_fits(self, item: Outgoing, size: int) -> None:
        """Raises TooLarge. What a group tries again or sets aside has fitted before; its topics
        have room for the story beside it."""
        own = item.address.purpose in (Purpose.EVENT, Purpose.REPLY)
        if own and size > self._most:
            what = item.content.type if isinstance(item.content, Envelope) else "what it holds"
            raise TooLarge(
                f"{what}: a batch with it alone takes {size:,} bytes, over "
                f"max_size={self._most:,}. Send a reference to where the data lies, or raise "
                "max_size= and the max.message.bytes of the topic"
            )

    async def _make_room(self, item: Outgoing, until: float) -> None:
        """See that its topic is there. Raises BuswayError."""
        tier = _tier(item) if item.address.purpose is Purpose.RETRY else NOW
        try:
            with anyio.fail_after(max(0.0, until - time.monotonic())):
                await self._topics.ensure(item.address, tier)
        except TimeoutError:
            topic = self._names.topic(item.address, tier)
            raise TransportError(f"topic {topic!r} could not be made in time") from None


def _tier(item: Outgoing) -> str:
    return NOW if item.due is None else tier_for(item.due - time.time())
