"""``emit``: publishing that can neither raise nor wait."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Final

import anyio
import anyio.lowlevel

from ._context import current
from ._publisher import Publisher, Sealed
from .errors import SendError
from .message import Envelope, PublishOptions

__all__ = ["Emitter"]

_TOGETHER: Final = 200


class Emitter:
    """A bounded buffer, sent in the background. Any thread may put into it."""

    def __init__(self, publisher: Publisher, bound: int) -> None:
        self._publisher = publisher
        self._bound = bound
        self._buffer: deque[Sealed] = deque()
        self._wake: anyio.Event | None = None
        """What the background task waits on; None while there is none, or while it works."""
        self._loop: Any = None
        self._thread = 0
        self._sending: anyio.Lock | None = None
        self._dropped_before = False
        self._closed = False

    def emit(self, event: object, data: object, options: PublishOptions) -> Envelope | None:
        """Take the event, or count and log why it is dropped."""
        publisher = self._publisher
        try:
            envelope, route = publisher.sealer.seal(event, data, options, current.get())
            due = publisher.due(options)
        except Exception as error:
            # Everything: whoever emits was promised that an event never breaks it.
            publisher.runtime.counters.dropped += 1
            publisher.runtime.log.error(
                "emit: a %s is no event and was dropped: %s", type(event).__qualname__, error
            )
            return None
        if self._closed:
            self._drop(envelope, "the bus has stopped")
        elif len(self._buffer) >= self._bound:
            self._drop(envelope, f"{self._bound} events wait already")
        else:
            self._buffer.append((envelope, route, due))
            self._call()
        return envelope

    def _call(self) -> None:
        """Wake the background task."""
        wake = self._wake
        if wake is None:
            return
        try:
            if threading.get_ident() == self._thread:
                wake.set()
                return
            asyncio_has = getattr(self._loop, "call_soon_threadsafe", None)
            soon = asyncio_has or self._loop.run_sync_soon  # the second is trio's
            soon(wake.set)
        except RuntimeError:
            pass  # the loop has ended, maybe between two lines: the event waits for the next start

    def _drop(self, envelope: Envelope, why: str) -> None:
        runtime = self._publisher.runtime
        if not self._dropped_before:
            runtime.log.error("emit drops events: %s (further ones are only counted)", why)
        self._dropped_before = True
        runtime.drop(envelope, "", f"emit: {why}")

    def open(self) -> None:
        """The bus starts."""
        self._closed = False

    def close(self) -> None:
        """The bus has stopped: nobody sends any more."""
        self._closed = True
        while self._buffer:
            self._drop(self._buffer.popleft()[0], "the bus has stopped")

    async def run(self) -> None:
        """Send what was emitted, until cancelled."""
        self._loop = anyio.lowlevel.current_token().native_token
        self._thread = threading.get_ident()
        try:
            while True:
                self._wake = wake = anyio.Event()
                # After the wake-up is in place: what comes from now on sets it.
                if not self._buffer:
                    self._dropped_before = False
                    await wake.wait()
                self._wake = None
                await self.flush()
        finally:
            self._wake = self._sending = None

    async def flush(self) -> None:
        """Send what is there now; returns when it was sent, by whomever."""
        if self._sending is None:
            self._sending = anyio.Lock()
        # One at a time: two would send out of order, and the one that finds nothing left would
        # return before the other has sent it.
        async with self._sending:
            while self._buffer:
                count = min(_TOGETHER, len(self._buffer))
                await self._send([self._buffer.popleft() for _ in range(count)])

    async def _send(self, sealed: list[Sealed]) -> None:
        try:
            await self._publisher.send_all(sealed, waits=True)
        except SendError as error:
            for envelope, cause in error.failed:
                self._drop(envelope, str(cause))
        except Exception as error:
            # A middleware of the publish side, or the adapter: the next events must go out.
            self._publisher.runtime.log.exception("emit: sending failed")
            self._drop_all(sealed, f"{type(error).__name__}: {error}")
        except BaseException:
            self._drop_all(sealed, "the bus stopped while it was being sent")
            raise

    def _drop_all(self, sealed: list[Sealed], why: str) -> None:
        for envelope, _, _ in sealed:
            self._drop(envelope, why)
