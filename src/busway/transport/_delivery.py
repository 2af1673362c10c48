"""What comes in: an item, lent to this process."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Any

import anyio
import msgspec

from ..message import Envelope
from ._items import Raw, Story

__all__ = [
    "Delivery",
    "Loan",
]


class Loan:
    """What an adapter lends deliveries under, when it can be told to take them back.

    One loan per partition or shard and tenure. The adapter calls ``revoke``; from then on the core
    starts no delivery of it and releases those that wait. ``drained`` returns when none is running,
    so that an adapter can commit what was finished before it lets go.

    Where a partition or shard has one owner at a time, the loan has a ``fence``: every later owner
    of it has a greater one, for as long as the group exists, whatever crashed or was restarted in
    between. So a store that remembers the greatest fence it has seen can refuse a write of an
    earlier owner that was only slow. The group's own retry address belongs to the partition or
    shard that its events come from, and counts with it. Fences of two partitions, or of two groups,
    say nothing of each other.
    """

    __slots__ = ("_drained", "_revoked", "fence", "running", "until")

    def __init__(self, fence: int | None = None, until: float | None = None) -> None:
        self.fence = fence
        """None where several members may own at once."""
        self.until = until
        """The moment (seconds of ``time.monotonic``) at which it is revoked by itself; the adapter
        puts it off as long as the broker agrees. A process that stood still finds its loans revoked
        before it starts anything, whatever it does first. None: only ``revoke`` ends it."""
        self._revoked = False
        self.running = 0
        """Deliveries of this loan whose handler has started and which are not settled. The core
        counts it."""
        self._drained: anyio.Event | None = None

    @property
    def revoked(self) -> bool:
        """Whether no delivery of it may start any more. It never ends."""
        if not self._revoked and self.until is not None:
            self._revoked = time.monotonic() >= self.until
        return self._revoked

    def revoke(self) -> None:
        """No delivery of this loan may start any more. Twice is harmless."""
        self._revoked = True

    def finished(self, count: int = 1) -> None:
        """The core's: so many running deliveries were settled or abandoned."""
        self.running -= count
        if self._drained is not None and self.running <= 0:
            self._drained.set()

    async def drained(self) -> None:
        """Wait until nothing of this loan is running. The caller brings the deadline."""
        while self.running > 0:
            if self._drained is None or self._drained.is_set():
                self._drained = anyio.Event()
            await self._drained.wait()


class Delivery(msgspec.Struct, eq=False, gc=False):
    """One item lent to this process. Each is handed back exactly once: by ``ack`` or ``release``,
    unless its feed is left first."""

    content: Envelope | Raw
    channel: str
    lane: Hashable = None
    """Deliveries of one lane are handled one after another, in the order received; None binds it to
    no other. The key, or the partition and the key."""
    attempt: int = 1
    """As it was sent; the core counts it up for attempts in place."""
    delivered: int = 1
    """How often the broker has handed it out, this time included. More than 1: somebody had it and
    never came back. 1 where the broker does not count."""
    due: float | None = None
    """As it was sent. The core keeps a delivery that is early until then."""
    story: Story | None = None
    loan: Loan | None = None
    """All deliveries of a feed have one, or none has."""
    receipt: Any = None
    """The adapter's own; the core never looks inside."""
    expired: bool = False
    """The loan ran out: somebody else may have it. Set by the core or the adapter, never unset."""

    @property
    def lost(self) -> bool:
        """Whether this process no longer holds the loan."""
        return self.expired or (self.loan is not None and self.loan.revoked)

    @property
    def fence(self) -> int | None:
        """That of its loan."""
        return None if self.loan is None else self.loan.fence
