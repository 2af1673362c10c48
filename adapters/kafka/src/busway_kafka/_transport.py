"""Kafka as the bus sees it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import CoroutineType
from typing import Any, Literal

import anyio
import msgspec

from busway import OptionError, TransportError
from busway.codec import JsonCodec
from busway.transport import (
    Address,
    Feed,
    Group,
    NotWritten,
    Outcome,
    Outgoing,
    Purpose,
)

from ._assigning import Claim
from ._client import Client
from ._coordinating import metadata_of
from ._deferring import Early
from ._feed import KafkaFeed
from ._leading import claims_in
from ._names import Names
from ._numbers import Numbers, PartitionState, partitions_of
from ._options import COMPRESSIONS, Options
from ._powers import Powers
from ._producing import Producer
from ._renewing import Renewing
from ._sending import Sending
from ._topics import Topics
from ._url import parse

__all__ = ["KafkaTransport", "open_kafka"]

_log = logging.getLogger("busway.kafka")


class KafkaTransport(Powers):
    """The bus between processes, on Kafka.

    It runs on asyncio. Every call but ``receive`` ends within ``options.timeout`` seconds.
    """

    holds: Literal[True] = True

    def __init__(self, given: Options | str, /, **own: Any) -> None:
        """``given`` is a URL or ``Options``; beside a URL stands what it has no room for
        (``decoder``, ``ssl_context``, ``token_provider``), and any option. Raises OptionError."""
        if isinstance(given, str):
            given = parse(given, **own)
        elif own:
            raise OptionError(f"{', '.join(own)}: say it in the Options, or give a URL")
        options = self.options = given
        self.names = Names(options.prefix, options.follow)
        self.client = Client(options)
        compression = COMPRESSIONS.index(options.compression or "none")
        self.producer = Producer(self.client, compression, options.max_size)
        self.topics = Topics(self.client, options, self.names, self._made)
        self.feeds: set[KafkaFeed] = set()
        """Open in this process."""
        super().__init__(self.client, self.names, self.producer, self.topics, lambda: self.feeds)
        self._encoder = JsonCodec()
        self._numbers = Numbers(lambda: self.producer.counters)
        self._renewing = Renewing(self.client, options.metadata_age)
        self._users = 0
        self._opening = anyio.Lock()
        self._sending = Sending(self.client, options, self.names, self.topics, self.producer)

    def __repr__(self) -> str:
        return f"<KafkaTransport {self.options.where}>"

    async def __aenter__(self) -> KafkaTransport:
        async with self._opening:
            if self._users == 0:
                await self._open()
            self._users += 1
        return self

    async def _open(self) -> None:
        try:
            with anyio.fail_after(self.options.timeout):
                await self.client.open()
                self.topics.open()
                await self.topics.ensure_meta()
            self._renewing.begin()
        except TimeoutError:
            await self._hang_up()
            where, limit = self.options.where, self.options.timeout
            raise TransportError(f"{where}: no answer within {limit:g} s") from None
        except BaseException:
            await self._hang_up()
            raise

    async def _hang_up(self) -> None:
        with anyio.CancelScope(shield=True):
            await self.topics.close()
            await self.client.close()

    async def __aexit__(self, *exc: object) -> None:
        self._users -= 1
        if self._users == 0:
            with anyio.CancelScope(shield=True):
                await self._renewing.close()
                await self.producer.close()
            await self._hang_up()

    # --- sending

    def send(
        self, items: Sequence[Outgoing], /, *, timeout: float
    ) -> CoroutineType[Any, Any, Sequence[Outcome]]:
        # No coroutine of its own around the other's: each costs every event that is waited for.
        # What `async def` makes has a wider type for mypy than for pyright, which wants this one.
        if self._users:
            return self._sending.send(items, timeout)  # type: ignore[return-value]
        return _closed(items)  # type: ignore[return-value]

    async def _send_later(self, group: str, early: Sequence[Early]) -> Sequence[Outcome]:
        """What is early goes to the tiers of its group."""
        items = [
            Outgoing(
                what.content,
                Address(tenure.address.channel, Purpose.RETRY, group),
                self._encoder,
                what.attempt,
                what.due,
                what.story,
            )
            for tenure, _, what in early
        ]
        return await self._sending.send(items, self.options.timeout, put_off=True)

    def _made(self) -> None:
        for feed in self.feeds:
            feed.nudge()

    # --- listening

    def listen(self, group: Group, /) -> AbstractAsyncContextManager[Feed]:
        return self._listen(group)

    @asynccontextmanager
    async def _listen(self, group: Group) -> AsyncGenerator[KafkaFeed]:
        if not group.member:
            group = msgspec.structs.replace(group, member=uuid.uuid4().hex)

        async def send(early: Sequence[Early]) -> Sequence[Outcome]:
            return await self._send_later(group.name, early)

        feed = KafkaFeed(
            self.client,
            self.options,
            self.names,
            group,
            send,
            self.topics.ensure,
        )
        try:
            await feed.open()
            self.feeds.add(feed)
            yield feed
        finally:
            self.feeds.discard(feed)
            await feed.close()
            self._numbers.closed(feed)
            if not group.durable:
                await self.forget(group.name)

    # --- powers

    async def announce(self, group: Group, /) -> Mapping[str, tuple[str, ...]]:
        async with self._in_time():
            claims = await self.claims(group.name)
        told = {claim.member: claim.patterns for claim in claims if claim.member}
        return {**told, group.member: group.patterns}

    async def claims(self, group: str) -> list[Claim]:
        """What the living members of a group say of themselves. Raises TransportError."""
        said = await metadata_of(self.client, self.names.group(group))
        return [claims_in(each) for each in said]

    async def location(self) -> str:
        async with self._in_time():
            await self.client.refresh()
        return f"kafka:{self.client.cluster_id}:{self.options.prefix}"

    def report(self) -> Mapping[str, int]:
        return self._numbers.now(self.feeds)

    def partitions(self) -> list[PartitionState]:
        """What the groups of this process have, at once and without asking the broker. What others
        have is theirs to tell; ``bus.groups()`` asks the broker for all."""
        return [state for feed in self.feeds for state in partitions_of(feed)]


async def _closed(items: Sequence[Outgoing]) -> Sequence[Outcome]:
    error = TransportError("the transport is not open", retryable=False)
    return [NotWritten(error) for _ in items]


def open_kafka(url: str, /, **given: Any) -> KafkaTransport:
    """Raises OptionError."""
    return KafkaTransport(url, **given)
