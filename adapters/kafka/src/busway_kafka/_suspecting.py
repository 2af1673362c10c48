"""What a member that died may have had, lent one at a time, each with its count told beforehand."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from busway import Envelope
from busway.transport import Delivery

from ._committing import Committer
from ._foreign import Reader
from ._tenure import Tenure
from ._wire import Read

__all__ = ["PutOff", "Suspecting"]

PutOff = Callable[[Tenure, int, Read, float], None]
"""Called with what is not due yet: where it was, what it is, and the time now."""

_TURN = 0.1
"""Seconds for which others go first, before a suspect has its turn: at least so many, and as many
as the last one took."""
_PATIENT = 0.25
"""Seconds for which a suspect is the only one that is lent, unless it comes back earlier."""


class Suspecting:
    """Of one member. ``put_off`` is called with what is not due yet."""

    def __init__(self, committer: Committer, put_off: PutOff, read: Reader) -> None:
        self._committer = committer
        self._put_off = put_off
        self._read = read
        self._lent: tuple[Tenure, int] | None = None
        self._patient_until = 0.0
        self._turn_at = self._begun_at = 0.0

    @property
    def one_is_lent(self) -> bool:
        """And did not come back yet."""
        return self._lent is not None

    def has_turn(self, now: float) -> bool:
        """Whether one goes out although there is something else: that may never end."""
        if now < self._turn_at:
            return False
        self._turn_at = now + _TURN
        return True

    async def next(self, tenures: Sequence[Tenure], now: float) -> Delivery | None:
        """One of them, when no other is lent: which one it was shall be known if this process
        dies, too."""
        if self._lent is not None and now < self._patient_until:
            return None
        for tenure in tenures:
            while tenure.suspects and (taken := tenure.take()) is not None:
                offset, what = taken
                if not isinstance(what, Read):
                    what = self._read(tenure, what)
                if what.due is not None and what.due > now:
                    self._put_off(tenure, offset, what, now)
                    continue
                return await self._begin_alone(tenure, offset, what)
        return None

    async def _begin_alone(self, tenure: Tenure, offset: int, what: Read) -> Delivery | None:
        self._lent = tenure, offset
        self._begun_at = time.time()
        # Who runs it asks for no other meanwhile; who does not run it may have the next.
        self._patient_until = time.time() + _PATIENT
        count = tenure.begun[offset] = tenure.begun.get(offset, 0) + 1
        told = False
        try:
            await self._committer.commit([tenure])
            told = True
        finally:
            if not told or tenure.loan.revoked:
                self.not_begun(tenure, offset)
                tenure.give_back(offset, what)
        if tenure.loan.revoked:
            return None
        content, attempt, due, story = what
        lane = content.subject if type(content) is Envelope else None
        receipt = tenure, offset
        return Delivery(
            content, tenure.address.channel, lane, attempt, 1 + count, due, story,
            tenure.loan, receipt,
        )  # fmt: skip

    def not_begun(self, tenure: Tenure, offset: int) -> None:
        """It was given back, and does not count."""
        self.is_over(tenure, offset)
        if offset in tenure.begun:
            tenure.begun[offset] -= 1
            if not tenure.begun[offset]:
                del tenure.begun[offset]

    def is_over(self, tenure: Tenure, offset: int) -> bool:
        """It was finished, or given back. Whether it is the one that is lent."""
        if self._lent is None or self._lent != (tenure, offset):
            return False
        self._lent = None
        now = time.time()
        self._turn_at = now + max(_TURN, now - self._begun_at)
        return True
