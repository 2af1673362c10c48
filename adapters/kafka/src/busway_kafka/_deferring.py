"""Moving what is early out of the way, into the tier of its group that is for such a wait."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

from busway import TransportError
from busway.transport import Purpose, Written

from ._tenure import Tenure
from ._wire import Read

__all__ = ["Deferring", "Early"]

_log = logging.getLogger("busway.kafka")
_AT_ONCE = 500
_BACKOFF = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_SOON = 10.0
"""Seconds for which an event that is early waits where it is; later ones are moved to a tier."""

Early = tuple[Tenure, int, Read]


class Deferring:
    """Of one member: sent again first, done with where it was afterwards."""

    def __init__(
        self,
        send: Callable[[Sequence[Early]], Awaitable[Sequence[object]]],
        done: Callable[[Iterable[Tenure]], Awaitable[None]],
        *,
        durable: bool,
    ) -> None:
        self._durable = durable
        self._send = send
        self._done = done
        self._early: deque[Early] = deque()
        self._some = asyncio.Event()

    def __call__(self, tenure: Tenure, offset: int, what: Read) -> None:
        self._early.append((tenure, offset, what))
        self._some.set()

    def put_off(self, tenure: Tenure, offset: int, what: Read, now: float) -> None:
        """It is early: it waits here when that is short, or where nobody stands behind it."""
        assert what.due is not None
        later = what.due - now > _SOON
        if later and tenure.address.purpose is Purpose.EVENT and self._durable:
            self(tenure, offset, what)
        else:
            tenure.hold(offset, what)

    def forget(self) -> None:
        """What was put off is begun with again, by who has it then."""
        self._early.clear()

    async def run(self) -> None:
        """Until cancelled."""
        tries = 0
        while True:
            await self._some.wait()
            self._some.clear()
            while self._early:
                if await self._move():
                    tries = 0
                else:
                    await asyncio.sleep(_BACKOFF[min(tries, len(_BACKOFF) - 1)])
                    tries += 1

    async def _move(self) -> bool:
        """False: some of it has to be tried again."""
        now = time.time()
        batch = [self._early.popleft() for _ in range(min(_AT_ONCE, len(self._early)))]
        for tenure, offset, what in (each for each in batch if each[0].loan.revoked):
            tenure.give_back(offset, what)
        batch = [each for each in batch if not each[0].loan.revoked]
        late = [each for each in batch if (each[2].due or 0.0) <= now]
        for tenure, offset, what in late:
            tenure.hold(offset, what)
        batch = [each for each in batch if each not in late]
        outcomes = await self._send(batch) if batch else ()
        touched: dict[Tenure, None] = {}
        left: list[Early] = []
        for early, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Written):
                early[0].done(early[1])
                touched[early[0]] = None
            else:
                left.append(early)
        self._early.extendleft(reversed(left))
        try:
            if touched:
                await self._done(touched)
        except TransportError as error:
            _log.info("what was put off is not committed yet: %s", error)
        return not left
