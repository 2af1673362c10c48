"""The feeds of ``Flaky``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from busway.transport import (
    Delivery,
    Extends,
    Feed,
    Follows,
    Group,
    Moves,
    Outgoing,
    Redelivers,
    Story,
)

from ._faults import Faults

__all__ = ["FlakyFeed", "flaky_feed"]

F = TypeVar("F", bound="FlakyFeed")


class FlakyFeed:
    """A feed with faults; its powers are in the classes below."""

    def __init__(self, faults: Faults, inner: Feed) -> None:
        self.inner: Any = inner
        """The feed inside, with nothing put into it."""
        self._faults = faults

    def __repr__(self) -> str:
        return f"<Flaky {self.inner!r}>"

    async def receive(self, limit: int, /) -> Sequence[Delivery]:
        return await self._faults.around("receive", lambda: self.inner.receive(limit))

    async def ack(self, deliveries: Sequence[Delivery], /) -> int:
        return await self._faults.around("ack", lambda: self.inner.ack(deliveries), deliveries)

    async def release(self, deliveries: Sequence[Delivery], /) -> None:
        await self._faults.around("release", lambda: self.inner.release(deliveries), deliveries)


class _Redelivering(FlakyFeed):
    async def redeliver(self, delivery: Delivery, after: float, story: Story, /) -> None:
        await self._faults.around(
            "redeliver", lambda: self.inner.redeliver(delivery, after, story), delivery
        )


class _Moving(FlakyFeed):
    async def move(self, delivery: Delivery, item: Outgoing, /) -> bool:
        return await self._faults.around("move", lambda: self.inner.move(delivery, item), delivery)


class _Extending(FlakyFeed):
    @property
    def lease(self) -> float:
        return float(self.inner.lease)

    @lease.setter
    def lease(self, seconds: float) -> None:
        self.inner.lease = seconds

    async def extend(self, deliveries: Sequence[Delivery], /) -> Sequence[Delivery]:
        return await self._faults.around(
            "extend", lambda: self.inner.extend(deliveries), deliveries
        )


class _Following(FlakyFeed):
    async def follow(self, group: Group, /) -> None:
        await self._faults.around("follow", lambda: self.inner.follow(group), group)


_POWERS: dict[type, type[FlakyFeed]] = {
    Redelivers: _Redelivering,
    Moves: _Moving,
    Extends: _Extending,
    Follows: _Following,
}


def flaky_feed(faults: Faults, inner: Feed, kind: type[F]) -> F:
    """A feed of this kind, with the powers that the inner one has."""
    powers = tuple(flaky for power, flaky in _POWERS.items() if isinstance(inner, power))
    own = () if kind is FlakyFeed else (kind,)
    made: Any = type(kind.__name__, (*own, *powers, FlakyFeed), {"__module__": __name__})
    feed: F = made(faults, inner)
    return feed
