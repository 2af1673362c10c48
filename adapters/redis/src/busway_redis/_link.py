"""One connection that many tasks share: commands go out together, answers come back in order.

Commands that are begun in one turn of the event loop are one write. Nothing is ever sent twice: of
a command that was written when the connection broke nobody knows whether it was executed, and its
caller is told just that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from random import random
from typing import Any

import hiredis
from redis.exceptions import RedisError

from ._dial import Bare, Dial
from ._errors import NotSent, Refused, Unanswered, is_reply, refused

__all__ = ["Argument", "Link"]

Argument = str | bytes | int | float

# It takes a tuple of any length, whatever its annotation says.
_packed: Callable[[tuple[Argument, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]
_FIRST_WAIT = 0.05
_LONGEST_WAIT = 2.0
_LOOKS = 4
"""How often in a timeout it is looked whether a server answers."""


class Link:
    """A connection that is made when it is needed, and made again when it broke.

    ``timeout`` is how many seconds an answer may take before the connection counts as dead;
    ``name`` is what log lines and errors call it.
    """

    def __init__(self, dial: Dial, *, timeout: float, name: str) -> None:
        self._dial = dial
        self._timeout = timeout
        self.name = name
        self.on_refusal: Callable[[Refused], None] | None = None
        """Hears what the server refuses, before the caller does."""
        self.connections = 0
        """How often it was connected."""
        self._queued: dict[asyncio.Future[Any], bytes] = {}
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._answers = 0
        self._wake: asyncio.Future[None] | None = None
        self._serving: asyncio.Task[None] | None = None
        self._trouble: Exception | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Link {self.name}>"

    def begin(self, *command: Argument) -> asyncio.Future[Any]:
        """Queue a command for this turn's write. The caller brings the deadline; see ``give_up``.

        The future raises NotSent, Unanswered or Refused. Cancelling it takes the command back only
        while there is no connection.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(NotSent(f"{self.name}: the connection was closed"))
            return future
        self._queued[future] = _packed(command)
        wake = self._wake
        if wake is not None:
            self._wake = None
            if not wake.done():
                wake.set_result(None)
        elif self._serving is None:
            self._serving = asyncio.get_running_loop().create_task(self._serve())
        return future

    async def call(self, *command: Argument, timeout: float | None = None) -> Any:
        """One command and its answer, within ``timeout`` seconds (else the link's own).

        Raises NotSent, Unanswered or Refused.
        """
        limit = self._timeout if timeout is None else timeout
        future = self.begin(*command)
        timer = asyncio.get_running_loop().call_later(limit, self.give_up, future, limit)
        try:
            return await future
        finally:
            timer.cancel()

    def give_up(self, future: asyncio.Future[Any], after: float) -> None:
        """Its deadline is over: say whether the command was sent."""
        if future.done():
            return
        if self._queued.pop(future, None) is not None:
            trouble = str(self._trouble or "").removeprefix(f"{self.name}: ")
            why = f": {trouble}" if trouble else ""
            future.set_exception(NotSent(f"{self.name}: not reached within {after:g} s{why}"))
        else:
            # Its place in the line stays: the answer may come yet, and is nobody's.
            future.set_exception(Unanswered(f"{self.name}: no answer within {after:g} s"))

    async def close(self) -> None:
        """Hang up. What was not answered by now never will be."""
        self._closed = True
        serving, self._serving = self._serving, None
        try:
            if serving is not None:
                serving.cancel()
                await asyncio.wait([serving])
        finally:
            self._fail(NotSent(f"{self.name}: the connection was closed"))

    # --- while there is something to do, or a connection ------------------------------------------

    async def _serve(self) -> None:
        failures = 0
        try:
            while self._queued:
                try:
                    connection = await self._dial()
                except NotSent as error:
                    self._trouble = error
                    if not error.retryable:
                        self._fail(error)
                        return
                    failures += 1
                    wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(failures, 10))
                    # Whoever waits here brought a deadline of its own.
                    await asyncio.sleep(wait * (0.5 + random() / 2))
                    self._forget_given_up()
                    continue
                self._forget_given_up()
                failures, self._trouble = 0, None
                self.connections += 1
                await self._converse(connection)
        finally:
            self._serving = None

    def _forget_given_up(self) -> None:
        """What nobody waits for any more was never sent, and is not sent later."""
        self._queued = {each: told for each, told in self._queued.items() if not each.done()}

    async def _converse(self, connection: Bare) -> None:
        """Until the connection breaks, or the link is closed."""
        loop = asyncio.get_running_loop()
        reading = loop.create_task(self._read(connection))
        # Tasks of their own: who waits for room to write would not see that nothing is read.
        writing = loop.create_task(self._write(connection, reading))
        watchdog = loop.create_task(self._watch(reading))
        try:
            await asyncio.wait([reading, writing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._wake = None
            tasks = (writing, reading, watchdog)
            for task in tasks:
                task.cancel()
            try:
                await asyncio.wait(tasks)
            finally:
                # However this ends: it may be closed while it tidies up.
                with contextlib.suppress(RedisError, OSError):  # it is broken, or to be closed
                    await connection.disconnect(nowait=True)
                self._lose(_failure_of(writing) or _failure_of(reading))

    def _lose(self, error: Exception | None) -> None:
        """What was written and not answered: nobody knows."""
        self._trouble = error
        text = f"{self.name}: the connection broke before the answer came"
        lost = Unanswered(f"{text}: {error}" if error is not None else text)
        lost.__cause__ = error
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(lost)

    async def _write(self, connection: Bare, reading: asyncio.Task[None]) -> None:
        loop = asyncio.get_running_loop()
        while not reading.done():
            if not self._queued:
                self._wake = loop.create_future()
                await self._wake
                continue
            batch, self._queued = self._queued, {}
            self._waiting.extend(batch)
            await connection.send_packed_command(batch.values(), check_health=False)

    async def _read(self, connection: Bare) -> None:
        waiting, answers = self._waiting, connection.answers
        while True:
            for answer in await answers():
                if isinstance(answer, RedisError):
                    self._refuse(answer)
                    continue
                self._answers += 1
                future = waiting.popleft()
                if not future.done():
                    future.set_result(answer)

    def _refuse(self, error: RedisError) -> None:
        """The next command was refused. Raises what is no answer to it."""
        if not is_reply(error):
            raise error
        self._answers += 1
        future = self._waiting.popleft()
        ours = refused(error)
        if self.on_refusal is not None:
            self.on_refusal(ours)
        if not future.done():
            future.set_exception(ours)

    async def _watch(self, reading: asyncio.Task[None]) -> None:
        """A server that answers nothing for the whole timeout is gone, whatever TCP believes."""
        first, seen, looks = None, -1, 0
        while True:
            await asyncio.sleep(self._timeout / _LOOKS)
            head = self._waiting[0] if self._waiting else None
            if head is None or head is not first or seen != self._answers:
                # It may have been asked just now: this look does not count.
                first, seen, looks = head, self._answers, 0
                continue
            looks += 1
            if looks == _LOOKS:
                reading.cancel()
                return

    def _fail(self, error: Exception) -> None:
        queued, self._queued = self._queued, {}
        for future in (*queued, *self._waiting):
            if not future.done():
                future.set_exception(error)
        self._waiting.clear()


def _failure_of(task: asyncio.Task[None]) -> Exception | None:
    """What a task that has ended raised."""
    if not task.done() or task.cancelled():
        return None
    error = task.exception()
    return error if isinstance(error, Exception) else None
