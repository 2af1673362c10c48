"""What the suite's tests drive a transport with: short names for sending and for listening."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import msgspec

from busway.errors import BuswayError, TransportError
from busway.message import Envelope
from busway.transport import (
    WRITTEN,
    Address,
    Delivery,
    Encoder,
    Feed,
    Group,
    Outgoing,
    Purpose,
    Raw,
    Start,
    Story,
    Transport,
)

__all__ = ["Driver", "Ear", "value", "values"]

T = TypeVar("T")


class Driver:
    """One test's view of a transport. Every name it makes is new, so that tests can share a broker.

    ``patience`` is how many seconds something that must happen may take, ``silence`` how many the
    suite listens before it believes that nothing comes.
    """

    def __init__(
        self, transport: Transport, encoder: Encoder, *, patience: float, silence: float
    ) -> None:
        self.transport = transport
        self.encoder = encoder
        self.patience = patience
        self.silence = silence
        self._suffix = uuid.uuid4().hex[:12]
        self._members = itertools.count(1)

    def name(self, word: str) -> str:
        """The same word gives the same name within one test."""
        return word + self._suffix

    def made(self, topic: str) -> bool:
        """Whether a topic is one of this test's."""
        return topic.partition(".")[0].endswith(self._suffix)

    def address(
        self, purpose: Purpose = Purpose.EVENT, group: str | None = None, channel: str = "orders"
    ) -> Address:
        named = None if group is None else self.name(group)
        return Address(self.name(channel), purpose, named)

    def envelope(self, data: object, key: str | None = None, channel: str = "orders") -> Envelope:
        topic = f"{self.name(channel)}.placed"
        return Envelope(topic, data, "suite", time.time(), key)

    def event(self, data: object, key: str | None = None, channel: str = "orders") -> Outgoing:
        return self.outgoing(self.envelope(data, key, channel), self.address(channel=channel))

    def outgoing(
        self,
        content: Envelope | Raw,
        address: Address,
        *,
        attempt: int = 1,
        due: float | None = None,
        story: Story | None = None,
    ) -> Outgoing:
        return Outgoing(content, address, self.encoder, attempt, due, story)

    def retry(self, data: object, group: str, key: str | None = None) -> Outgoing:
        """An item for a group's own retry address, at its second attempt."""
        return self.outgoing(
            self.envelope(data, key), self.address(Purpose.RETRY, group), attempt=2
        )

    def events(self, data: Iterable[object], key: str | None = None) -> list[Outgoing]:
        return [self.event(each, key) for each in data]

    async def send(self, *items: Outgoing) -> None:
        """Send, and insist that all were written."""
        outcomes = await self.within(
            self.transport.send(items, timeout=self.patience), "send did not return"
        )
        assert list(outcomes) == [WRITTEN] * len(items), f"not all were written: {outcomes}"

    async def within(self, call: Awaitable[T], complaint: str) -> T:
        """Await a call that must succeed, for no longer than the patience lasts."""
        try:
            with anyio.move_on_after(self.patience):
                return await call
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(f"{complaint}, it raised {error!r}") from error
        raise AssertionError(f"{complaint} within {self.patience} s")

    def group(
        self,
        name: str = "billing",
        *,
        channels: tuple[str, ...] | None = ("orders",),
        start: Start = "earliest",
        durable: bool = True,
    ) -> Group:
        """A group that wants all topics of some channels; None: of all that this test uses, without
        saying which; an empty tuple: of none."""
        if channels is None:
            return Group(
                self.name(name),
                ("**",),
                self.made,
                None,
                start,
                durable,
                self._member(),
            )
        named = frozenset(self.name(channel) for channel in channels)
        return Group(
            self.name(name),
            tuple(f"{channel}.*" for channel in sorted(named)),
            lambda topic: topic.partition(".")[0] in named,
            named,
            start,
            durable,
            self._member(),
        )

    def _member(self) -> str:
        return f"member-{next(self._members)}-{self._suffix}"

    @asynccontextmanager
    async def listen(self, group: Group | str = "billing") -> AsyncGenerator[Ear]:
        """Join a group, by its name or as it is."""
        wanted = self.group(group) if isinstance(group, str) else group
        async with self.transport.listen(wanted) as feed:
            yield Ear(feed, wanted, self)


class Ear:
    """A feed with its group."""

    def __init__(self, feed: Feed, group: Group, driver: Driver) -> None:
        self.feed = feed
        self.group = group
        self._driver = driver

    async def receive(self, limit: int) -> list[Delivery]:
        """What the feed hands out, without what other users of a shared broker sent: a group that
        cannot name its channels may get that too. It is acknowledged."""
        while True:
            try:
                got = await self.feed.receive(limit)
            except BuswayError as error:
                raise AssertionError(f"receive raised {error!r}") from error
            assert got, "receive returned nothing"
            assert len(got) <= limit, f"receive({limit}) returned {len(got)}"
            foreign = [each for each in got if self._foreign(each)]
            if foreign:
                await self.feed.ack(foreign)
            if len(foreign) < len(got):
                return [each for each in got if each not in foreign]

    def _foreign(self, delivery: Delivery) -> bool:
        content = delivery.content
        return isinstance(content, Envelope) and not self._driver.made(content.type)

    async def take(self, count: int, *, limit: int = 10, ack: bool = False) -> list[Delivery]:
        """Receive until there are so many, and no more."""
        found: list[Delivery] = []
        with anyio.move_on_after(self._driver.patience):
            while len(found) < count:
                got = await self.receive(min(limit, count - len(found)))
                found += got
                if ack:
                    await self.ack(got)
            return found
        raise AssertionError(
            f"only {len(found)} of {count} came within {self._driver.patience} s: {values(found)}"
        )

    async def ack(self, deliveries: Sequence[Delivery]) -> int:
        return await self._driver.within(self.feed.ack(deliveries), "ack did not return")

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        await self._driver.within(self.feed.release(deliveries), "release did not return")

    async def _received_at_last(self, limit: int) -> Sequence[Delivery]:
        while True:
            try:
                return await self.feed.receive(limit)
            except TransportError:
                await anyio.sleep(0.01)

    async def hears_nothing(self, *, after_silence: bool = False) -> None:
        """Insist that nothing comes, as far as that can be told. ``after_silence``: a receive may
        tell first that the broker was silent, and is called again, as the core does."""
        got: list[Delivery] = []

        async def listen() -> None:
            got.extend(await (self._received_at_last(10) if after_silence else self.receive(10)))
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            # The silence begins when somebody listens: a machine that stands still hears nothing.
            await anyio.wait_all_tasks_blocked()
            await anyio.sleep(self._driver.silence)
            tasks.cancel_scope.cancel()
        assert not got, f"nothing should have come, but {values(got)} did"


def value(item: Delivery | Envelope | Raw) -> Any:
    """The application's data, decoded where it came off a wire."""
    content = item.content if isinstance(item, Delivery) else item
    if isinstance(content, Raw):
        return content.data
    if not isinstance(content.data, msgspec.Raw):
        return content.data
    packed = content.content_type is not None and "msgpack" in content.content_type
    decode = msgspec.msgpack.decode if packed else msgspec.json.decode
    return decode(bytes(content.data))


def values(items: Iterable[Delivery]) -> list[Any]:
    return [value(item) for item in items]
