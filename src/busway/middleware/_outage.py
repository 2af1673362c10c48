"""A store that cannot be asked: who asks it next, and when."""

from __future__ import annotations

import logging
import time
from random import random
from typing import Final

from busway._verdict import Backoff
from busway.errors import TransportError

__all__ = ["Outage"]

_logger = logging.getLogger("busway.middleware")

WAITS: Final = Backoff(first=0.1, factor=2.0, cap=5.0)


class Outage:
    """What one handler's ``dedupe`` knows of its store.

    While the store is away one event after another asks, ever more seldom, and no other does: a
    server that comes back is not met by a thousand at once.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._last = self._until = 0.0

    def rest(self) -> float:
        """Seconds for which nobody asks. 0: ask now."""
        if not self._failures:
            return 0.0
        now = time.monotonic()
        if now < self._until:
            return self._until - now
        self._until = now + WAITS.cap  # the others wait for what this one finds
        return 0.0

    def failed(self, error: TransportError, asked: float) -> float:
        """Who asked at that moment (of ``time.monotonic``) was not answered. Seconds to wait."""
        now = time.monotonic()
        if self._failures and asked <= self._last:
            return max(0.0, self._until - now)  # beside another, who told it
        if not self._failures:
            _logger.warning("dedupe: the store is away, and events wait for it: %s", error)
        self._failures += 1
        self._last = now
        wait = WAITS.wait(self._failures, random())
        self._until = now + wait
        return wait

    def over(self) -> None:
        """It answered."""
        if self._failures:
            self._failures = 0
            _logger.warning("dedupe: the store is there again")
