"""Streams that grow no longer than ``max_length``: sending into one that is full.

Where it could get full, every event is added by a script that looks at the length first, so that
many publishers together stay below it. As long as a look shows more room than a server fills before
the next look, events are added as everywhere else: a script costs as much as adding does.

Only streams of events are looked at, and only what is published into them: an event that was taken
with a delay goes into its stream when it is due.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from busway import TransportError

from ._answers import unheard
from ._errors import NotSent, Refused
from ._keys import is_events
from ._link import Argument
from ._options import Options
from ._retention import Retention
from ._sending import Writes
from ._trimming import ADD_DROPPING, ADD_REFUSING

__all__ = ["Capped"]

_log = logging.getLogger("busway.redis")

_AGAIN: Final = 0.25
"""Seconds for which a stream that had nothing to remove is taken for full."""
_LOOK: Final = 0.25
"""Seconds from one look at a stream to the next."""
_AMPLE: Final = 100_000
"""Events that no server takes between two looks."""


class Full(TransportError):
    """The stream has ``max_length`` events that somebody has not handled."""


class Capped:
    """The same as ``inner``, and an event for a full stream is refused, or the oldest dropped."""

    def __init__(self, inner: Writes, retention: Retention, options: Options) -> None:
        assert options.max_length is not None
        self._inner = inner
        self._retention = retention
        self._length = options.max_length
        self._drops = options.on_full == "drop_oldest"
        self._script = ADD_DROPPING if self._drops else ADD_REFUSING
        self._full: dict[str, str] = {}
        """Streams that were full when something was last sent to them, and what was said of it."""
        self._rooms: dict[str, asyncio.Task[None]] = {}
        """By stream: who makes room."""
        self._looked: dict[str, float] = {}
        self._ample: dict[str, float] = {}
        """Until when a stream surely has room."""
        self._looking: set[str] = set()
        self.dropped = 0
        """Events that were removed though somebody had not handled them."""
        self.refused = 0
        """Events that were not sent for want of room."""

    @property
    def one_slot(self) -> bool:
        return self._inner.one_slot

    def begin(self, key: str, /, *command: Argument) -> asyncio.Future[Any]:
        if command[0] != "XADD" or command[2] != "*" or not is_events(key):
            return self._inner.begin(key, *command)
        now = asyncio.get_running_loop().time()
        if self._ample.get(key, 0.0) > now:
            return self._inner.begin(key, *command)
        if self._length > _AMPLE and key not in self._looking:
            self._look(key, now)
        future = _Adding(key, command[3:])
        self._try(future, "EVALSHA", self._script.sha)
        return future

    def give_up(self, future: asyncio.Future[Any], after: float, /) -> None:
        if not isinstance(future, _Adding):
            self._inner.give_up(future, after)
        elif future.inner is not None:
            self._inner.give_up(future.inner, after)
        elif not future.done():
            future.set_exception(NotSent(f"{future.key}: no room was made within {after:g} s"))

    def _look(self, key: str, now: float) -> None:
        """How much room there is."""

        def told(future: asyncio.Future[Any]) -> None:
            self._looking.discard(key)
            if future.cancelled() or future.exception() is not None:
                return
            if self._length - future.result() > _AMPLE:
                self._ample[key] = now + _LOOK
                self._has_room(key)

        self._looking.add(key)
        self._inner.begin(key, "XLEN", key).add_done_callback(told)

    def _try(self, future: _Adding, verb: str, script: str) -> None:
        if future.done():
            return
        inner = self._inner.begin(
            future.key, verb, script, 1, future.key, self._length, *future.fields
        )
        future.inner = inner
        inner.add_done_callback(lambda inner: self._answered(future, inner))

    def _answered(self, future: _Adding, inner: asyncio.Future[Any]) -> None:
        future.inner = None
        error = None if inner.cancelled() else inner.exception()
        if future.done() or inner.cancelled():
            return
        if isinstance(error, Refused) and error.code == "NOSCRIPT":
            self._try(future, "EVAL", self._script.text)
        elif error is not None:
            future.set_exception(error)
        elif self._drops:
            self._count(future.key, inner.result())
            future.set_result(inner.result())
        elif inner.result() == 0:
            self._no_room(future)
        else:
            self._has_room(future.key)
            future.set_result(inner.result())

    # --- a full stream ----------------------------------------------------------------------------

    def _count(self, key: str, dropped: int) -> None:
        self.dropped += dropped
        if dropped and key not in self._full:
            self._full[key] = f"{key} has {self._length} events that somebody has not handled"
            _log.error("%s: for each that comes the oldest is dropped", self._full[key])
        elif not dropped:
            self._has_room(key)

    def _has_room(self, key: str) -> None:
        if self._full and self._full.pop(key, None) is not None:
            counted = f"{self.dropped} dropped" if self._drops else f"{self.refused} refused"
            _log.warning("%s has room again; %s so far", key, counted)

    def _no_room(self, future: _Adding) -> None:
        """Make room from what was handled, once for all who wait, then try again."""
        key, loop = future.key, asyncio.get_running_loop()
        room = self._rooms.get(key)
        if room is None:
            if future.tried or loop.time() - self._looked.get(key, float("-inf")) < _AGAIN:
                self._refuse(future)
                return
            room = self._rooms[key] = loop.create_task(self._make_room(key))
            room.add_done_callback(unheard)
        future.tried = True
        room.add_done_callback(self._again(future))

    def _again(self, future: _Adding) -> Callable[[asyncio.Task[None]], None]:
        def again(room: asyncio.Task[None]) -> None:
            error = None if room.cancelled() else room.exception()
            if error is not None and not future.done():
                future.set_exception(error)
            else:
                self._try(future, "EVALSHA", self._script.sha)

        return again

    async def _make_room(self, key: str) -> None:
        try:
            removed, groups = await self._retention.make_room(key, max(100, self._length // 10))
        finally:
            del self._rooms[key]
        if removed > 0:
            return
        self._looked[key] = asyncio.get_running_loop().time()
        who = ", ".join(map(repr, groups)) or "a group that has not joined it, or nobody has"
        if key not in self._full:
            self._full[key] = f"not handled by {who}"
            _log.error(
                "%s is full (max_length=%d, %s): publishing to it is refused",
                *(key, self._length, self._full[key]),
            )

    def _refuse(self, future: _Adding) -> None:
        self.refused += 1
        why = self._full.get(future.key, "others were faster")
        future.set_exception(
            Full(f"{future.key} is full (max_length={self._length}, {why}): nothing was written")
        )


class _Adding(asyncio.Future[Any]):
    """One event on its way."""

    def __init__(self, key: str, fields: tuple[Argument, ...]) -> None:
        super().__init__()
        self.key = key
        self.fields = fields
        self.inner: asyncio.Future[Any] | None = None
        self.tried = False
