"""A subscriber without a handler: its events are asked for one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
from faststream.exceptions import NackMessage
from faststream.message import AckStatus

from busway import Envelope, Message, Reject, RetryLater, Subscription

if TYPE_CHECKING:
    from ._message import BusMessage
    from ._subscriber import BusSubscriber

__all__ = ["Pull"]


class _GivenBack(RetryLater):
    """Nobody is to blame: it is not a failed attempt."""

    counts: ClassVar[bool] = False


class _Offered:
    """An event that waits to be taken, and then for what becomes of it."""

    def __init__(self, raw: Message[Any]) -> None:
        self.raw = raw
        self.decided = anyio.Event()
        self.status: AckStatus | None = None
        """None: it is for somebody else."""

    def decide(self, status: AckStatus | None) -> None:
        """The first word counts."""
        if not self.decided.is_set():
            self.status = status
            self.decided.set()


class Pull:
    """Lends one event at a time: it is acknowledged when it says so, or when the next one is asked
    for; what nobody acknowledged is given back at the end.

    Without a group it gets what is published from now on (a broadcast).
    """

    def __init__(self, subscriber: BusSubscriber) -> None:
        self._subscriber = subscriber
        self._offered: _Offered | None = None
        self._arrived = anyio.Event()
        self._taken: _Offered | None = None
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Returns when events arrive; twice is harmless."""
        if self._subscription is None:
            self._subscription = self._subscriber.add(self._offer)
            await self._subscription.ready()

    async def stop(self) -> None:
        """What was taken and not acknowledged is given back, with no attempt used."""
        subscription, self._subscription = self._subscription, None
        if subscription is None:
            return
        subscription.pause()
        for each in (self._taken, self._offered):
            if each is not None:
                each.decide(None)
        self._taken = self._offered = None
        await subscription.stop()

    async def _offer(self, envelope: Envelope, message: Message[Any]) -> None:
        offered = self._offered = _Offered(message)
        self._arrived.set()
        await offered.decided.wait()
        if offered.status is None:
            raise _GivenBack(0.0, "nobody acknowledged it")
        if offered.status is AckStatus.REJECTED:
            raise Reject("rejected: message.reject()")
        if offered.status is AckStatus.NACKED:
            raise NackMessage

    async def get_one(self, timeout: float) -> BusMessage | None:
        """The next one, or None when none came within ``timeout`` seconds."""
        await self.start()
        if self._taken is not None:
            self._taken.decide(AckStatus.ACKED)
            self._taken = None
        with anyio.move_on_after(timeout):
            return await self._next()
        return None

    async def all(self) -> AsyncIterator[BusMessage]:
        while True:
            message = await self.get_one(float("inf"))
            if message is not None:
                yield message

    async def _next(self) -> BusMessage:
        while self._offered is None:
            await self._arrived.wait()
            self._arrived = anyio.Event()
        taken = self._taken = self._offered
        self._offered = None
        message = await self._subscriber.parse_message(taken.raw)
        message.on_settled(lambda raw, status: taken.decide(status))
        message.set_decoder(self._subscriber.decode_message)
        return message
