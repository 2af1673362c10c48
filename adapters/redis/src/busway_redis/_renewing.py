"""Leaving a server that is no master any more.

Its connections stay open, or are taken by whoever has its address now. What it refused it has not
executed, so nothing is lost; but nothing succeeds either until the connection is made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from busway import TransportError

from ._errors import Refused
from ._link import Argument, Link

__all__ = ["Renewed", "RenewingLink", "is_stale"]

_STALE: Final = frozenset({"MASTERDOWN", "READONLY"})
_PAUSE: Final = 0.5
_FENCE: Final = 1.0


def is_stale(error: BaseException | None) -> bool:
    """Whether a server said that it is not the master, or not any more."""
    if not isinstance(error, Refused):
        return False
    return error.code in _STALE or (error.code == "UNBLOCKED" and "state changed" in error.said)


class RenewingLink(Link):
    """For one command at a time: after the word of a server that is no master it connects anew."""

    async def call(self, *command: Argument, timeout: float | None = None) -> Any:
        try:
            return await super().call(*command, timeout=timeout)
        except Refused as error:
            if is_stale(error):
                await self.renew()
            raise

    async def renew(self) -> None:
        """Hang up. The next command dials."""
        await self.close()
        self._closed = False


class Renewed:
    """A link that many share, and in its place a new one when its server is no master any more."""

    def __init__(self, make: Callable[[], Link]) -> None:
        self._make = make
        self.link = self._new()
        self._before = 0
        self._at = float("-inf")
        self._retiring: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        return self._before + self.link.connections

    def _new(self) -> Link:
        link = self._make()
        link.on_refusal = self._hear
        return link

    def _hear(self, error: Refused) -> None:
        if is_stale(error):
            self.renew()

    def renew(self) -> None:
        """From here on a new link. What the old one is asked already, it answers."""
        loop = asyncio.get_running_loop()
        # Where nobody is the master, a new connection changes nothing.
        if self._retiring is not None or loop.time() - self._at < _PAUSE:
            return
        self._at = loop.time()
        old, self.link = self.link, self._new()
        self._retiring = loop.create_task(self._retire(old))

    async def close(self) -> None:
        retiring = self._retiring
        if retiring is not None:
            retiring.cancel()
            await asyncio.wait([retiring])
        await self.link.close()

    async def _retire(self, old: Link) -> None:
        try:
            # Answers come in order: this is the last.
            await old.call("PING", timeout=_FENCE)
        except TransportError:
            pass  # whoever waits for it hears it from the link
        finally:
            self._before += old.connections
            self._retiring = None
            await old.close()
