"""``on_unknown=resend``: an event whose answer did not come is sent again, in time.

It may then be there twice: handlers that mind it have the dedupe middleware. What the master has
and too few replicas confirmed is not sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import random
from typing import Final

from busway import TransportError
from busway.transport import NotWritten, Outcome, Outgoing, Unknown

from ._confirming import Unconfirmed

__all__ = ["Resending"]

_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 2.0

Send = Callable[[Sequence[Outgoing], float], Awaitable[Sequence[Outcome]]]


class Resending:
    """Sends by ``send``, and again what it does not know of."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.resent = 0
        """Events that were sent once more."""

    async def send(self, items: Sequence[Outgoing], timeout: float) -> Sequence[Outcome]:
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        outcomes = list(await self._send(items, timeout))
        unknown: list[int] = [place for place, each in enumerate(outcomes) if _is_open(each)]
        pause = _FIRST_WAIT
        while unknown:
            wait = pause * (0.5 + random() / 2)
            pause = min(_LONGEST_WAIT, pause * 2)
            left = until - loop.time() - wait
            if left <= 0:
                break
            # A server that breaks the connection with each of them must not be asked in a hot loop.
            await asyncio.sleep(wait)
            self.resent += len(unknown)
            again = await self._send([items[place] for place in unknown], left)
            for place, outcome in zip(unknown, again, strict=True):
                if not isinstance(outcome, NotWritten):  # it may have been the time before
                    outcomes[place] = outcome
            unknown = [
                place
                for place, outcome in zip(unknown, again, strict=True)
                if _is_open(outcome) or (isinstance(outcome, NotWritten) and _passes(outcome.error))
            ]
        return outcomes


def _is_open(outcome: Outcome) -> bool:
    return isinstance(outcome, Unknown) and not isinstance(outcome.error, Unconfirmed)


def _passes(error: BaseException) -> bool:
    return isinstance(error, TransportError) and error.retryable
