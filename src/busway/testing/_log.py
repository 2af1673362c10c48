"""A transport of Kafka's shape, without Kafka.

Per address a log of N partitions; a key always goes to the same one, None goes round. A group keeps
one number per partition: everything below it is done. Partitions are dealt out to the members of a
group, and taken away again when somebody joins or leaves. There is nothing else: a record can be
neither held back, nor handed out later, nor removed. What the bus promises on top of that, it must
make from send, receive and acknowledge, and that is what this transport is here to show.
"""

from __future__ import annotations

import itertools
import secrets
import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Self

import anyio
import anyio.lowlevel

from busway.errors import BuswayError, OptionError, TransportError
from busway.transport import (
    WRITTEN,
    Address,
    Browsed,
    Feed,
    Group,
    GroupState,
    NotWritten,
    Outcome,
    Outgoing,
    Purpose,
    Raw,
    Start,
)

from ._cohort import Cohort
from ._member import LogFeed
from ._records import Log, Record

__all__ = ["PartitionedLog"]


class PartitionedLog:
    """Logs in this process, which live as long as the object does.

    ``partitions`` is their number per address (a dead-letter address has one: nobody shares its
    reading, and its letters keep the order they came in). ``patience`` is how many seconds a member
    may go on with what it is running after its partition was given to another.

    Powers: ``Browses``, ``Rewinds``, ``ManagesGroups``, ``Announces``, ``Charts``, ``Located``,
    ``Reports`` (``appended``: records written); its feeds ``Follows``.
    """

    def __init__(self, partitions: int = 4, *, patience: float = 5.0) -> None:
        self.partitions = partitions
        self.patience = patience
        self._logs: dict[Address, Log] = {}
        self._cohorts: dict[str, Cohort] = {}
        self._round = itertools.count()
        self._users = 0
        self._appended = 0
        self._chart: dict[str, str] = {}
        self._location = f"log:{secrets.token_hex(8)}"

    async def __aenter__(self) -> Self:
        self._users += 1
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._users -= 1

    # --- sending

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        await anyio.lowlevel.checkpoint()
        encoded = [_encoded(item) for item in items]
        return [self._append(item, value) for item, value in zip(items, encoded, strict=True)]

    def _append(self, item: Outgoing, value: bytes | Raw | BuswayError) -> Outcome:
        if isinstance(value, BuswayError):
            return NotWritten(value)
        if not self._users:
            return NotWritten(TransportError("the log is not open", retryable=False))
        raw = isinstance(item.content, Raw)
        self._write(
            item.address,
            Record(
                value,
                None if raw else item.encoder.content_type,
                None if isinstance(item.content, Raw) else item.content.key,
                time.time(),
                item.attempt,
                item.due,
                item.story,
            ),
        )
        return WRITTEN

    def append(self, address: Address, value: bytes, content_type: str | None = None) -> None:
        """Write bytes as a foreign producer does: whatever they are, and without a key."""
        self._write(address, Record(value, content_type, None, time.time()))

    def report(self) -> Mapping[str, int]:
        return {"appended": self._appended}

    def _write(self, address: Address, record: Record) -> None:
        self._appended += 1
        log = self._logs.get(address)
        if log is None:
            width = 1 if address.purpose is Purpose.DEAD else self.partitions
            log = self._logs[address] = [[] for _ in range(width)]
            for cohort in self._cohorts.values():
                cohort.balance()
        spread = next(self._round) if record.key is None else zlib.crc32(record.key.encode())
        log[spread % len(log)].append(record)
        for cohort in self._cohorts.values():
            if cohort.wants(address):
                cohort.wake()

    # --- listening

    @asynccontextmanager
    async def listen(self, group: Group, /) -> AsyncGenerator[Feed]:
        await anyio.lowlevel.checkpoint()
        cohort = self._cohorts.get(group.name)
        if cohort is None:
            cohort = self._cohorts[group.name] = Cohort(group, self._logs, self.patience)
        feed = self._feed(group, cohort)
        cohort.join(feed)
        try:
            yield feed
        finally:
            feed.close()
            if not group.durable and not cohort.members:
                self._forget(group.name)

    def _feed(self, group: Group, cohort: Cohort) -> LogFeed:
        return LogFeed(group, cohort)

    def expel(self, feed: Feed, /) -> None:
        """What a broker does to a member whose heartbeats ended: others get what it had, at once.
        A member that is alive after all joins again with its next ``receive``."""
        if isinstance(feed, LogFeed):
            feed.cohort.leave(feed, politely=False)

    # --- powers

    async def addresses(self, purpose: Purpose, group: str | None, /) -> Sequence[Address]:
        await anyio.lowlevel.checkpoint()
        return [each for each in self._logs if (each.purpose, each.group) == (purpose, group)]

    async def browse(
        self, address: Address, /, *, after: str | None = None
    ) -> AsyncIterator[Browsed]:
        await anyio.lowlevel.checkpoint()
        there = [list(records) for records in self._logs.get(address, [])]
        for number, records in enumerate(there):
            for offset, record in enumerate(records):
                position = f"{number:08d}-{offset:016d}"
                if after is None or position > after:
                    yield Browsed(position, record.content(), record.story, record.attempt)

    async def rewind(self, group: str, to: Start, /) -> None:
        await anyio.lowlevel.checkpoint()
        self._idle(group).rewind(to)

    async def groups(self) -> Sequence[GroupState]:
        await anyio.lowlevel.checkpoint()
        return [cohort.state(name, self._dead(name)) for name, cohort in self._cohorts.items()]

    async def remove_group(self, name: str, /) -> bool:
        await anyio.lowlevel.checkpoint()
        if name not in self._cohorts:
            return False
        self._idle(name)
        self._forget(name)
        return True

    async def announce(self, group: Group, /) -> Mapping[str, tuple[str, ...]]:
        """The members say what they handle when they join; this only reads it."""
        await anyio.lowlevel.checkpoint()
        cohort = self._cohorts.get(group.name)
        living = [member.group for member in cohort.members] if cohort else []
        return {each.member: each.patterns for each in (*living, group)}

    async def chart(self, channels: Mapping[str, str], /) -> Mapping[str, str]:
        await anyio.lowlevel.checkpoint()
        for pattern, channel in channels.items():
            said = self._chart.get(pattern, channel)
            if said != channel:
                raise OptionError(
                    f"{pattern!r} lies in {channel!r} here, and in {said!r} for who came before"
                )
        self._chart.update(channels)
        return dict(self._chart)

    async def location(self) -> str:
        await anyio.lowlevel.checkpoint()
        return self._location

    def _idle(self, name: str) -> Cohort:
        cohort = self._cohorts.get(name)
        if cohort is None:
            raise TransportError(f"there is no group {name!r}", retryable=False)
        if cohort.members:
            raise TransportError(f"group {name!r} has members that listen", retryable=False)
        return cohort

    def _forget(self, name: str) -> None:
        self._cohorts.pop(name, None)
        for address in [address for address in self._logs if address.group == name]:
            del self._logs[address]

    def _dead(self, name: str) -> int:
        logs = [
            log
            for address, log in self._logs.items()
            if address.purpose is Purpose.DEAD and address.group == name
        ]
        return sum(len(records) for log in logs for records in log)


def _encoded(item: Outgoing) -> bytes | Raw | BuswayError:
    """The bytes of an item, or why there are none."""
    if isinstance(item.content, Raw):
        return item.content
    try:
        return item.encoder.encode(item.content)
    except BuswayError as error:
        return error
