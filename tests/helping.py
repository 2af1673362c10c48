"""What several tests of the publish side need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio

from busway import Bus, Envelope, TransportError
from busway.memory import NullTransport
from busway.transport import WRITTEN, NotWritten, Outcome, Outgoing, Unknown

__all__ = ["URLS", "Answering", "SeeingBus", "down", "lost", "ready"]

URLS = ("memory://", "memory://?codec=json", "memory://?history=10")
"""Whatever is said of publishing holds for each: by the short way, encoded, and kept."""


def down(_: Outgoing) -> Outcome:
    """The broker refused it."""
    return NotWritten(TransportError("the broker is down"))


def lost(_: Outgoing) -> Outcome:
    """The connection died before the answer came."""
    return Unknown(TransportError("the connection died"))


class Answering(NullTransport):
    """A broker that answers as it is told."""

    def __init__(self, answer: Callable[[Outgoing], Outcome] = lambda _: WRITTEN) -> None:
        self.answer = answer
        self.sent: list[Outgoing] = []
        self.calls = 0
        self.closed: anyio.Event | None = None
        """While there is one, nothing is answered before it is set."""
        self.raises: Exception | None = None
        self.entered = anyio.Event()

    @property
    def data(self) -> list[Any]:
        """What arrived."""
        return [getattr(item.content, "data", None) for item in self.sent]

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        self.calls += 1
        self.entered.set()
        if self.closed is not None:
            await self.closed.wait()
        if self.raises is not None:
            raise self.raises
        outcomes = [self.answer(item) for item in items]
        self.sent.extend(
            item
            for item, outcome in zip(items, outcomes, strict=True)
            if not isinstance(outcome, NotWritten)
        )
        return outcomes


class SeeingBus(Bus):
    """A bus with a handler that keeps every envelope it gets."""

    def __init__(self, url: str, pattern: str) -> None:
        super().__init__(url, service="shop")
        self._got: list[Envelope] = []
        self.add(self._see, pattern, group="see")

    async def _see(self, envelope: Envelope) -> None:
        self._got.append(envelope)

    async def seen(self) -> list[Envelope]:
        """All that came, once nothing is on its way."""
        await self.drain(timeout=5)
        return self._got


async def ready(bus: Bus) -> None:
    """What was subscribed while the bus runs receives."""
    with anyio.fail_after(5):
        for runner in list(bus._parts.groups.runners.values()):
            await runner.opened()
