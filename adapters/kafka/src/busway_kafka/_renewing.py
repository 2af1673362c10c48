"""What is known of topics and brokers does not grow old, in a process that only publishes, too."""

from __future__ import annotations

import asyncio
import logging
import time

from busway import TransportError

from ._client import Client

__all__ = ["Renewing"]

_log = logging.getLogger("busway.kafka")


class Renewing:
    """Of one transport, while it is open. Who publishes never waits for it.

    Keys of a topic lie elsewhere when partitions were added to it. Who writes to it by what it knew
    before, and others by what they know since, write one key to two partitions.
    """

    def __init__(self, client: Client, age: float) -> None:
        self._client = client
        self._age = age
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        """Ask when nobody else has for so long: feeds do, and who finds no leader."""
        while True:
            left = self._client.refreshed + self._age - time.monotonic()
            if left > 0:
                await asyncio.sleep(left)
                continue
            try:
                await self._client.refresh()
            except TransportError as error:
                # Who has something to write is told by its own request.
                _log.debug("what topics there are was not heard: %s", error)
                await asyncio.sleep(self._age)
            except Exception:  # a mistake of ours, or of our client's
                _log.exception("what topics there are was not understood; it is asked again")
                await asyncio.sleep(self._age)
