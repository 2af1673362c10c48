"""A child's delay belongs to its sending: it is kept, or refused where nothing is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from busway import Bus, Message, OptionError
from busway.memory import MemoryTransport
from busway.transport import Outcome, Outgoing

__all__: list[str] = []

pytestmark = pytest.mark.anyio


class Noting(MemoryTransport):
    """Notes when what was sent is due."""

    def __init__(self) -> None:
        super().__init__()
        self.due: dict[str, float | None] = {}

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        for item in items:
            self.due[item.content.type] = item.due  # type: ignore[union-attr]  # no raw bytes here
        return await super().send(items, timeout=timeout)


async def test_a_child_published_with_a_delay_is_due_after_it() -> None:
    transport = Noting()
    bus = Bus(transport)

    async def handle(data: Any, message: Message[Any]) -> None:
        await message.publish("order.reminded", {}, delay=3600)
        await message.publish("order.packed", {})

    bus.add(handle, "order.placed")
    async with bus:
        placed = await bus.publish("order.placed", {})
        await bus.drain(timeout=5)
    due = transport.due["order.reminded"]
    assert due is not None
    assert due >= placed.timestamp + 3600
    assert transport.due["order.packed"] is None


async def test_an_envelope_and_a_child_refuse_a_delay() -> None:
    refused: list[str] = []
    bus = Bus()

    async def handle(data: Any, message: Message[Any]) -> None:
        try:
            message.child("order.reminded", {}, delay=5)
        except OptionError as error:
            refused.append(str(error))

    bus.add(handle, "order.placed")
    async with bus:
        with pytest.raises(OptionError, match="delay= belongs to publish"):
            bus.envelope("order.reminded", {}, delay=5)
        await bus.publish("order.placed", {})
        await bus.drain(timeout=5)
    assert len(refused) == 1
