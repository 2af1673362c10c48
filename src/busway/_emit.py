"""``emit``: publishing that can neither raise nor wait."""

from __future__ import annotations

from collections import deque
from typing import Final

import anyio

from ._context import current
from ._publisher import Publisher
from ._sealing import due_of
from .errors import SendError
from .message import Envelope, PublishOptions
from .transport import Outcome, Outgoing

__all__ = ["Emitter"]

_TOGETHER: Final = 200


class Emitter:
    """A bounded buffer, sent in the background."""

    def __init__(self, publisher: Publisher, bound: int) -> None:
        self._publisher = publisher
        self._bound = bound
        self._buffer: deque[Outgoing] = deque()
        self._wake = anyio.Event()
        self._dropped_before = False
        self.closed = False

    def emit(self, event: object, data: object, options: PublishOptions) -> Envelope | None:
        """Take the event, or count and log why it is dropped."""
        publisher = self._publisher
        try:
            envelope, route = publisher.sealer.seal(event, data, options, current.get())
            due = due_of(options, publisher.runtime.clock.time())
        except Exception as error:
            # Everything: whoever emits was promised that an event never breaks it.
            publisher.runtime.counters.dropped += 1
            publisher.runtime.log.error("emit: %r is no event and was dropped: %s", event, error)
            return None
        if self.closed or len(self._buffer) >= self._bound:
            why = "the bus has stopped" if self.closed else f"{self._bound} events wait already"
            self._drop(envelope, why)
            return envelope
        encoder = publisher.runtime.encoder
        self._buffer.append(Outgoing(envelope, route.address, encoder, due=due))
        self._wake.set()
        return envelope

    def _drop(self, envelope: Envelope, why: str) -> None:
        runtime = self._publisher.runtime
        if not self._dropped_before:
            runtime.log.error("emit drops events: %s (further ones are only counted)", why)
        self._dropped_before = True
        runtime.drop(envelope, "", f"emit: {why}")

    async def run(self) -> None:
        """Send what was emitted, until cancelled."""
        while True:
            if not self._buffer:
                self._wake = anyio.Event()
                self._dropped_before = False
                await self._wake.wait()
            await self.flush()

    async def flush(self) -> None:
        """Send what is there now."""
        while self._buffer:
            items = [self._buffer[i] for i in range(min(_TOGETHER, len(self._buffer)))]
            await self._send(items)

    async def _send(self, items: list[Outgoing]) -> None:
        runtime = self._publisher.runtime
        # Taken out before the first await, so that two flushes never send the same event.
        for _ in items:
            self._buffer.popleft()
        outcomes: list[Outcome] = []
        try:
            outcomes.extend(await runtime.transport.send(items, timeout=runtime.timeout))
            self._publisher.judge(list(zip(items, outcomes, strict=True)))
        except SendError as error:
            for content, cause in error.failed:
                if isinstance(content, Envelope):
                    self._drop(content, str(cause))
            if not error.failed:
                runtime.log.error("emit: %s", error)
