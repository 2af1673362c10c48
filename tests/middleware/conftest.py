"""Messages without a bus, and a clock that stands still until a test moves it."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
import pytest

from busway.message import Envelope, Message, PublishOptions
from busway.middleware import Handler
from tests.facts import LeapingClock

__all__ = ["FakeClock", "clock", "message"]


class FakeDelivery(msgspec.Struct):
    attempt: int = 1
    lost: bool = False
    fence: int | None = None


class FakeClock(LeapingClock):
    """Of which a test can say that nobody may wait for it now."""

    def __init__(self) -> None:
        super().__init__()
        self._impatient: set[int] = set()

    async def wait(self, event: anyio.Event, until: float | None, /) -> bool:
        if anyio.get_current_task().id in self._impatient:
            raise AssertionError("a call waited that should have gone through at once")
        return await super().wait(event, until)

    async def at_once(self, handler: Handler, message: Message[Any]) -> Any:
        """Call the handler; fail where it would wait for the clock, instead of hanging."""
        task = anyio.get_current_task().id
        self._impatient.add(task)
        try:
            return await handler(message)
        finally:
            self._impatient.discard(task)


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
