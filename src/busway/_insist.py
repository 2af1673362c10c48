"""Telling a broker that cannot be told.

It is told again, with backoff, until the loan is lost or ``_PATIENCE`` seconds are over; then the
delivery is let go, unacknowledged, and comes again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import random
from typing import TypeVar

import anyio

from ._blame import blame
from ._runtime import Runtime
from ._verdict import Backoff
from .errors import TransportError
from .transport import Delivery

__all__ = ["LetGo", "answered", "insist"]

T = TypeVar("T")
Call = Callable[[], Awaitable[T]]

_PATIENCE = 60.0
_PAUSE = 1.0
_WAITS = Backoff(first=0.05, factor=2.0, cap=5.0)
_NET = 30.0
"""Seconds, beyond those that a send may take, after which nobody waits for an adapter any more."""


class LetGo(Exception):
    """The broker could not be told; the delivery stays unacknowledged and comes again."""


async def insist(runtime: Runtime, group: str, deliveries: Sequence[Delivery], call: Call[T]) -> T:
    """Call until the broker answers. Raises LetGo."""
    log = runtime.log
    failures, began = 0, anyio.current_time()
    while True:
        try:
            return await answered(runtime, "settling", call)
        except TransportError as error:
            failures += 1
            waited = anyio.current_time() - began
            gone = bool(deliveries) and all(d.lost for d in deliveries)
            hopeless = gone or not error.retryable
            if hopeless or waited >= _PATIENCE:
                log.error(
                    "group %r: %d deliveries stay unacknowledged and come again: %s",
                    group,
                    len(deliveries),
                    error,
                )
                if not gone and waited < _PAUSE:
                    # What comes again at once would be refused at once.
                    await anyio.sleep(_PAUSE)
                raise LetGo from error
            if failures == 1:
                log.warning("group %r: the broker could not be told, trying on: %s", group, error)
            await anyio.sleep(_WAITS.wait(failures, random()))
        except BaseException as error:
            blame(runtime.transport, "settling", error)


async def answered(runtime: Runtime, what: str, call: Call[T]) -> T:
    """What the broker answers. The deadline is the adapter's; here is one for those without."""
    limit = runtime.timeout + _NET
    with anyio.move_on_after(limit):
        return await call()
    raise TransportError(f"{what} was not answered within {limit:g} s: its adapter has no deadline")
