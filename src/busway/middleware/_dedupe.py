"""``dedupe``: an event that was handled is not handled again."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import time
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, ClassVar, Final

import anyio

from busway.errors import RetryLater, TransportError
from busway.message import Message

from ._options import seconds_of
from ._outage import Outage
from ._store import Busy, Claim, DedupeKey, DedupeStore, Done
from ._types import Handler, Middleware

__all__ = ["Claimed", "StoreAway", "dedupe"]

_logger = logging.getLogger("busway.middleware")

SETTLE_SECONDS: Final = 5.0
"""How long the store is given to hear the outcome of an attempt, cancelled or not."""

MARGIN: Final = 0.05
"""Seconds waited beyond the end of a claim, so that rounding does not bring a delivery back a
moment too early and cost it a second wait."""

LONGEST: Final = 1.0
"""Seconds that an event waits at once while the store is away: as much as ``Retry.in_place`` is, so
that its key keeps its order."""


_AWAY = "the dedupe store cannot be asked now"


class Claimed(RetryLater):
    """Somebody else is handling the same event. It is a wait, not a failure of this event."""

    counts: ClassVar[bool] = False


class StoreAway(RetryLater):
    """The store cannot be asked now. It is a wait, not a failure of this event."""

    counts: ClassVar[bool] = False


def dedupe(
    store: DedupeStore, /, *, ttl: float | timedelta | None = None, lease: float | timedelta = 60.0
) -> Middleware:
    """Handle an event once per group, recognised by its idempotency key, else its id.

    Two phases: the key is *claimed* before the handler starts, for ``lease`` seconds, and *done*
    after it succeeded, for ``ttl`` seconds (None: the store's own). A handler that failed or was
    cancelled gives its claim up, so that the retry is handled. A duplicate of what is done is
    acknowledged without the handler; asked by ``request``, it answers None. A duplicate of what is
    only claimed is never dropped: it raises ``Claimed`` and comes back when the claim has ended.
    When a process dies with a claim, its lease runs out and the redelivery is handled.

    A store that raises a retryable ``TransportError`` is away: events wait for it, raising
    ``StoreAway``, and no attempt is counted. With any other error of it the attempt has failed.

    ``lease`` must be longer than the handler can take, or two may handle one event side by side.
    This is no exactly-once: a process that dies after its handler succeeded, before the store
    heard of it, handles the event again.

    Raises ``OptionError`` for a time that is not above 0. Cost: two calls of the store per message.
    """
    claim_for = seconds_of("lease", lease)
    keep = None if ttl is None else seconds_of("ttl", ttl)

    def wrap(handler: Handler) -> Handler:
        outage = Outage()

        @functools.wraps(handler)
        async def once(message: Message[Any]) -> Any:
            key = (message.group, message.envelope.duplicate_key)
            owner = os.urandom(8).hex()
            if rest := outage.rest():
                raise StoreAway(min(rest, LONGEST), _AWAY)
            claim = await _claim(store, key, owner, claim_for, outage)
            if isinstance(claim, Done):
                return None
            if isinstance(claim, Busy):
                raise Claimed(max(0.0, claim.wait) + MARGIN, "the same event is being handled")
            try:
                result = await handler(message)
            except BaseException:
                await _tell(store.release(key, owner), key, "released")
                raise
            await _tell(store.done(key, owner, keep), key, "marked as handled")
            return result

        return once

    return wrap


async def _claim(
    store: DedupeStore, key: DedupeKey, owner: str, lease: float, outage: Outage
) -> Claim:
    asked = time.monotonic()
    try:
        claim = await store.claim(key, owner, lease)
    except BaseException as error:
        # It was cancelled or broke, and may have been taken all the same.
        if not isinstance(error, TransportError) or not error.retryable:
            await _tell(store.release(key, owner), key, "released")
            raise
        wait = outage.failed(error, asked)
        # What is not heard of now either ends by itself.
        with contextlib.suppress(TransportError), anyio.move_on_after(SETTLE_SECONDS, shield=True):
            await store.release(key, owner)
        raise StoreAway(min(wait, LONGEST), _AWAY) from error
    outage.over()
    return claim


async def _tell(call: Awaitable[None], key: DedupeKey, what: str) -> None:
    """Tell the store how the attempt ended, whatever happens to us meanwhile.

    A store that cannot be told does not change the outcome: failing an attempt that succeeded
    would repeat it for certain, and the error of one that failed is the one that matters.
    """
    try:
        with anyio.move_on_after(SETTLE_SECONDS, shield=True):
            await call
            return
    except Exception:
        _logger.exception("dedupe: an event of group %s could not be %s", key[0], what)
    else:
        _logger.error(
            "dedupe: an event of group %s was not %s within %g s", key[0], what, SETTLE_SECONDS
        )
