"""Hearing what is published in Redis: one connection for each group of a process.

Nothing is asked again after it was said once, so a connection that broke is made anew at once, and
what was published meanwhile is missed. That is told and counted, never mended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from random import random
from typing import Any, Final

from redis.exceptions import RedisError, ResponseError

from busway import TransportError

from ._dial import Bare, Dial
from ._errors import Unanswered, refused

__all__ = ["Hearing"]

_log = logging.getLogger("busway.redis")
_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 2.0
_WORDS: Final = {True: (b"SUBSCRIBE", b"UNSUBSCRIBE"), False: (b"PSUBSCRIBE", b"PUNSUBSCRIBE")}


class Hearing:
    """The subscriptions of one connection, kept up.

    ``heard`` is called with a channel and what was said there; ``broken`` with why nothing can be
    heard now, each time it cannot, and with None when it can again.
    """

    def __init__(
        self,
        dial: Dial,
        *,
        timeout: float,
        name: str,
        heard: Callable[[bytes, bytes], None],
        broken: Callable[[TransportError | None], None],
    ) -> None:
        self._dial = dial
        self._timeout = timeout
        self._name = name
        self._heard = heard
        self._broken = broken
        self._wanted: dict[bytes, bool] = {}
        """Names, and whether it is a channel's; else it is a pattern."""
        self._asked: dict[bytes, bool] = {}
        self._confirmed: dict[bytes, bool] = {}
        self._changed = asyncio.Event()
        """There is something to ask the server for."""
        self._settled = asyncio.Event()
        """The server has confirmed what is wanted."""
        self._spoke = 0.0
        self._away: float | None = None
        """Since when nothing is heard; None while all is."""
        self._trouble: TransportError | None = None
        self._task: asyncio.Task[None] | None = None
        self.gaps = 0
        """How often the connection broke."""

    async def open(self, wanted: dict[bytes, bool]) -> None:
        """Connect; returns when what is said is heard. Raises TransportError in time."""
        connection = await self._dial()
        self._wanted = wanted
        self._task = asyncio.get_running_loop().create_task(self._keep(connection))
        self._task.add_done_callback(self._ended)
        await self.confirmed()

    async def close(self) -> None:
        """Hang up. It ends in time and raises nothing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def want(self, wanted: dict[bytes, bool]) -> None:
        """Hear these from now on, and no others; see ``confirmed``."""
        self._wanted = wanted
        self._settled.clear()
        self._changed.set()

    async def confirmed(self) -> None:
        """Wait until the server says that it tells what is wanted. Raises TransportError."""
        try:
            async with asyncio.timeout(self._timeout):
                while self._confirmed != self._wanted:
                    if self._trouble is not None and not self._trouble.retryable:
                        raise self._trouble
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            why = f"{self._name}: subscribing was not confirmed within {self._timeout:g} s"
            raise Unanswered(why) from None

    # --- the connection -----------------------------------------------------------------------

    async def _keep(self, connection: Bare | None) -> None:
        failures = 0
        while True:
            try:
                if connection is None:
                    connection = await self._dial()
                await self._converse(connection)
            except (RedisError, OSError, TransportError) as error:
                failures = 1 if self._away is None else failures + 1
                self._lost(error)
            finally:
                if connection is not None:
                    with contextlib.suppress(RedisError, OSError):  # it is broken already
                        await connection.disconnect(nowait=True)
                    connection = None
            if failures > 1:
                wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(failures, 10))
                await asyncio.sleep(wait * (0.5 + random() / 2))

    def _lost(self, error: Exception) -> None:
        self._asked, self._confirmed = {}, {}
        if self._away is None:
            self._away = time.monotonic()
            self.gaps += 1
            _log.warning(
                "%s: the connection broke; what is published until it is back is missed: %s",
                self._name,
                error,
            )
        if isinstance(error, TransportError):
            self._trouble = error
        else:
            self._trouble = Unanswered(f"{self._name}: the connection broke: {error}")
            self._trouble.__cause__ = error
        self._settled.set()
        self._broken(self._trouble)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task of ours that ends by itself has met what it does not know."""
        if not task.cancelled() and (error := task.exception()) is not None:
            broken = TransportError(f"{self._name}: {error!r}", retryable=False)
            broken.__cause__ = error
            self._broken(broken)

    async def _converse(self, connection: Bare) -> None:
        """Until the connection breaks."""
        self._spoke = time.monotonic()
        self._changed.set()
        tasks = asyncio.get_running_loop()
        reading = tasks.create_task(self._read(connection))
        speaking = tasks.create_task(self._speak(connection))
        both = (reading, speaking)
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.wait(both)
        for task in both:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _speak(self, connection: Bare) -> None:
        """Ask for what is wanted, and now and then whether the server is there."""
        while True:
            self._changed.clear()
            await self._ask(connection)
            try:
                async with asyncio.timeout(self._timeout / 2):
                    await self._changed.wait()
            except TimeoutError:
                if time.monotonic() - self._spoke > self._timeout:
                    raise Unanswered(f"no answer within {self._timeout:g} s") from None
                await connection.send_packed_command(_packed(b"PING"), check_health=False)

    async def _ask(self, connection: Bare) -> None:
        wanted, asked = self._wanted, self._asked
        commands: list[bytes] = []
        for exact, (more, less) in _WORDS.items():
            new = _of(exact, wanted.keys() - asked.keys(), wanted)
            old = _of(exact, asked.keys() - wanted.keys(), asked)
            commands += [_packed(more, *new)] if new else []
            commands += [_packed(less, *old)] if old else []
        self._asked = dict(wanted)
        if commands:
            await connection.send_packed_command(commands, check_health=False)
        self._look()

    async def _read(self, connection: Bare) -> None:
        read: Any = connection.read_response
        while True:
            try:
                said = await read(disable_decoding=True, disconnect_on_error=False)
            except ResponseError as error:
                raise refused(error) from error
            self._spoke = time.monotonic()
            match said:
                case [b"message", channel, data] | [b"pmessage", _, channel, data]:
                    self._heard(channel, data)
                case [b"subscribe" | b"psubscribe" as kind, name, _]:
                    self._confirmed[name] = kind == b"subscribe"
                    self._look()
                case [b"unsubscribe" | b"punsubscribe", name, _]:
                    self._confirmed.pop(name, None)
                    self._look()
                case _:
                    pass  # the answer to PING

    def _look(self) -> None:
        if self._confirmed != self._wanted:
            return
        self._trouble = None
        self._settled.set()
        if self._away is not None:
            seconds, self._away = time.monotonic() - self._away, None
            _log.warning(
                "%s: it is back; what was published for %.1f s is missed", self._name, seconds
            )
            self._broken(None)


def _of(exact: bool, names: Iterable[bytes], kinds: dict[bytes, bool]) -> list[bytes]:
    return sorted(name for name in names if kinds[name] is exact)


def _packed(*words: bytes) -> bytes:
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
    return b"".join(parts)
