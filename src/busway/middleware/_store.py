"""Where ``dedupe`` remembers: the protocol of a store, and one in memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol

import msgspec

from ._options import positive, seconds_of

__all__ = [
    "DONE",
    "NEW",
    "Busy",
    "Claim",
    "DedupeKey",
    "DedupeStore",
    "Done",
    "MemoryStore",
    "New",
]

DedupeKey = tuple[str, str]
"""The group, and what the event is recognised by: its idempotency key, else its id."""


class New(msgspec.Struct, frozen=True):
    """Nobody handled it and nobody is at it: the claim is the caller's."""


class Busy(msgspec.Struct, frozen=True):
    """Somebody else claimed it and did not finish yet."""

    wait: float
    """Seconds until that claim ends by itself."""


class Done(msgspec.Struct, frozen=True):
    """It was handled."""


Claim = New | Busy | Done
NEW: Final = New()
DONE: Final = Done()


class DedupeStore(Protocol):
    """Remembers what was handled. Shared by the members of a group, it works for all of them.

    Every time is a length in seconds, measured by the store's own clock: the clocks of two
    processes never meet. Each method is one atomic step. Any exception may be raised; a ``claim``
    that raised may have been taken or not. A ``TransportError`` that is ``retryable`` says that the
    store is away: events wait for it, and no attempt is counted.
    """

    async def claim(self, key: DedupeKey, owner: str, lease: float, /) -> Claim:
        """Take the key for ``owner`` for ``lease`` seconds, unless it is done or claimed.

        A claim whose lease ran out is no claim. The owner is unique to this attempt.
        """
        ...

    async def done(self, key: DedupeKey, owner: str, ttl: float | None, /) -> None:
        """It was handled: answer ``Done`` for ``ttl`` seconds (None: as long as the store likes).

        Whoever holds the claim by now: a success stays true when it comes after its lease.
        """
        ...

    async def release(self, key: DedupeKey, owner: str, /) -> None:
        """Give the claim up, if ``owner`` still holds it. Somebody else's claim, and what is done,
        stay; twice is harmless."""
        ...


class MemoryStore:
    """A ``DedupeStore`` for one process and one event loop, forgotten when the process ends.

    ``ttl`` is how long a handled event is remembered: longer than the longest time after which it
    can come again, retries and replays of dead letters included. ``max_entries`` bounds the memory:
    beyond it the oldest *handled* events are forgotten, early, and a duplicate of one of those is
    handled again. A live claim is never forgotten: the store grows over its bound instead, by at
    most what is in flight. ``clock`` tells seconds from any fixed moment.

    Raises ``OptionError`` for a ``ttl`` or a ``max_entries`` that is not above 0. Cost: one
    dictionary entry per remembered event; no task, no timer.
    """

    __slots__ = ("_claims", "_clock", "_done", "_max", "_ttl")

    def __init__(
        self,
        *,
        ttl: float | timedelta = timedelta(days=7),
        max_entries: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ttl = seconds_of("ttl", ttl)
        self._max = int(positive("max_entries", max_entries, "entries"))
        self._clock = clock
        self._claims: dict[DedupeKey, tuple[str, float]] = {}
        self._done: OrderedDict[DedupeKey, float] = OrderedDict()

    async def claim(self, key: DedupeKey, owner: str, lease: float, /) -> Claim:
        now = self._clock()
        expires = self._done.get(key)
        if expires is not None:
            if now < expires:
                return DONE
            del self._done[key]
        held = self._claims.get(key)
        if held is not None and now < held[1]:
            return Busy(held[1] - now)
        self._claims.pop(key, None)
        self._claims[key] = (owner, now + lease)
        self._trim(now)
        return NEW

    async def done(self, key: DedupeKey, owner: str, ttl: float | None, /) -> None:
        now = self._clock()
        self._claims.pop(key, None)
        self._done[key] = now + (self._ttl if ttl is None else ttl)
        self._done.move_to_end(key)
        self._trim(now)

    async def release(self, key: DedupeKey, owner: str, /) -> None:
        held = self._claims.get(key)
        if held is not None and held[0] == owner:
            del self._claims[key]

    def __len__(self) -> int:
        """How many keys are held: handled ones and claims."""
        return len(self._done) + len(self._claims)

    def __repr__(self) -> str:
        return f"<MemoryStore {len(self._done)} handled, {len(self._claims)} claimed>"

    def _trim(self, now: float) -> None:
        done = self._done
        while done:
            oldest = next(iter(done))
            if len(self) <= self._max and now < done[oldest]:
                return
            del done[oldest]
        claims = self._claims
        while len(claims) > self._max:  # a claim that ended and was never given up
            oldest = next(iter(claims))
            if now < claims[oldest][1]:
                return
            del claims[oldest]
