"""What one process of one group hears, and how much of it is kept until it is asked for."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

from busway import Envelope, TransportError, Undecodable
from busway.codec import decode
from busway.transport import Delivery, Group, Raw

from ._dial import Dial
from ._hearing import Hearing
from ._live_names import LiveNames

__all__ = ["LiveFeed"]

_log = logging.getLogger("busway.redis")
_MOST_BYTES: Final = 64 * 1024 * 1024


class _Heard:
    """One event, in the order it came."""

    __slots__ = ("channel", "content", "number", "size")

    def __init__(self, number: int, channel: str, content: Envelope | Raw, size: int) -> None:
        self.number = number
        self.channel = channel
        self.content = content
        self.size = size


class LiveFeed:
    """Powers: Follows.

    A task of its own hears into a buffer of ``buffer`` events, and of 64 MiB. When it is full the
    oldest make room: who watches wants what is new. That is counted in ``missed``.
    """

    def __init__(
        self, dial: Dial, names: LiveNames, group: Group, *, timeout: float, buffer: int
    ) -> None:
        self.missed = 0
        """Events that were heard and made room for others."""
        self._names = names
        self._group = group
        self._buffer = buffer
        self._waiting: deque[_Heard] = deque()
        self._bytes = 0
        self._count = 0
        self._lent: dict[_Heard, Delivery] = {}
        self._arrival = asyncio.Event()
        self._trouble: TransportError | None = None
        self._missing = 0
        """Of the time it has been full now."""
        self.hearing = Hearing(
            dial, timeout=timeout, name=repr(self), heard=self._hear, broken=self._break
        )

    def __repr__(self) -> str:
        return f"<LiveFeed of group {self._group.name!r}>"

    @property
    def waiting(self) -> int:
        """Events that are heard and not handed out."""
        return len(self._waiting)

    async def open(self) -> None:
        """Returns when what is published is heard. Raises TransportError in time."""
        await self.hearing.open(self._names.wanted(self._group))

    async def follow(self, group: Group, /) -> None:
        self._group = group
        self.hearing.want(self._names.wanted(group))
        await self.hearing.confirmed()

    # --- hearing --------------------------------------------------------------------------------

    def _hear(self, name: bytes, data: bytes) -> None:
        channel = self._names.channel(name)
        try:
            content: Envelope | Raw = decode(data)
        except Undecodable as error:
            content = Raw(data, reason=str(error))
        self._count += 1
        self._waiting.append(_Heard(self._count, channel, content, len(data)))
        self._bytes += len(data)
        if len(self._waiting) > self._buffer or self._bytes > _MOST_BYTES:
            self._make_room()
        self._arrival.set()

    def _make_room(self) -> None:
        waiting = self._waiting
        while len(waiting) > self._buffer or (self._bytes > _MOST_BYTES and len(waiting) > 1):
            self._bytes -= waiting.popleft().size
            if not self._missing:
                _log.warning(
                    "group %r is too slow: %d events wait, and the oldest are dropped to make room",
                    self._group.name,
                    len(waiting),
                )
            self._missing += 1
            self.missed += 1

    def _break(self, error: TransportError | None) -> None:
        self._trouble = error
        self._arrival.set()

    # --- the three verbs --------------------------------------------------------------------------

    async def receive(self, limit: int, /) -> Sequence[Delivery]:
        while not self._waiting:
            trouble, self._trouble = self._trouble, None
            if trouble is not None:
                raise trouble
            self._arrival.clear()
            await self._arrival.wait()
        waiting = self._waiting
        taken = [self._lend(waiting.popleft()) for _ in range(min(limit, len(waiting)))]
        if self._missing and not waiting:
            _log.warning(
                "group %r has caught up; %d events were dropped", self._group.name, self._missing
            )
            self._missing = 0
        return taken

    def _lend(self, heard: _Heard) -> Delivery:
        content = heard.content
        self._bytes -= heard.size
        key = content.subject if isinstance(content, Envelope) else None
        delivery = Delivery(content, heard.channel, key, receipt=heard)
        self._lent[heard] = delivery
        return delivery

    async def ack(self, deliveries: Sequence[Delivery], /) -> int:
        for delivery in deliveries:
            if self._lent.get(delivery.receipt) is delivery:
                del self._lent[delivery.receipt]
        return 0

    async def release(self, deliveries: Sequence[Delivery], /) -> None:
        back: list[_Heard] = []
        for delivery in deliveries:
            if self._lent.get(delivery.receipt) is delivery:
                back.append(delivery.receipt)
                del self._lent[delivery.receipt]
        if back:
            self._bytes += sum(heard.size for heard in back)
            merged = sorted((*back, *self._waiting), key=lambda heard: heard.number)
            self._waiting = deque(merged)
            self._arrival.set()
