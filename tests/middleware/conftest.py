"""Messages without a bus, and a clock that stands still until a test moves it."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
import pytest

from busway.message import Envelope, Message, PublishOptions
from busway.middleware import Handler

__all__ = ["FakeClock", "clock", "message"]


class FakeDelivery(msgspec.Struct):
    attempt: int = 1
    lost: bool = False


class FakeClock:
    """A ``busway.transport.Clock`` that only ``advance`` moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self._impatient: set[int] = set()
        self._timers: list[tuple[float, anyio.Event]] = []

    def time(self) -> float:
        return self.now

    async def wait(self, event: anyio.Event, until: float | None, /) -> bool:
        if anyio.get_current_task().id in self._impatient:
            raise AssertionError("a call waited that should have gone through at once")
        rung = anyio.Event()
        if until is not None:
            if until <= self.now:
                rung.set()
            self._timers.append((until, rung))

        async def first(either: anyio.Event) -> None:
            await either.wait()
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(first, event)
            group.start_soon(first, rung)
        return event.is_set()

    async def at_once(self, handler: Handler, message: Message[Any]) -> Any:
        """Call the handler; fail where it would wait for the clock, instead of hanging."""
        task = anyio.get_current_task().id
        self._impatient.add(task)
        try:
            return await handler(message)
        finally:
            self._impatient.discard(task)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for until, rung in self._timers:
            if until <= self.now:
                rung.set()
        self._timers = [timer for timer in self._timers if timer[0] > self.now]


class MessageFactory:
    """Makes messages as a bus would, each of a new envelope unless one is given."""

    def __call__(
        self, envelope: Envelope | None = None, *, group: str = "billing", attempt: int = 1
    ) -> Message[Any]:
        made = envelope or Envelope("order.placed", {"total": 1}, "shop", 1_000_000.0)
        return Message(made, made.data, group, FakeDelivery(attempt), _NO_BUS)


class _NoBus:
    def _child(
        self, parent: Envelope, event: object, data: object, options: PublishOptions
    ) -> Envelope:
        raise AssertionError("a middleware publishes nothing")

    async def publish(self, event: object, /) -> Envelope:
        raise AssertionError("a middleware publishes nothing")


_NO_BUS = _NoBus()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def message() -> MessageFactory:
    return MessageFactory()
