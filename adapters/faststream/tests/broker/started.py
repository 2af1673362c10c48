"""A broker that is started for a while, and the events its tests publish."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import attrs
import msgspec
from pydantic import BaseModel

from busway import Bus, event
from busway_faststream.broker import BusBroker
from tests.facts import PATIENCE, Seen

__all__ = ["Cut", "Felled", "Grown", "Model", "Placed", "Struct", "broker_on", "noted", "started"]


class Struct(msgspec.Struct):
    name: str
    size: int = 0


class Model(BaseModel):
    name: str
    size: int = 0


@attrs.define
class Cut:
    name: str


@event("cart.placed", key="order_id")
class Placed(msgspec.Struct, frozen=True):
    order_id: str
    total: float = 0.0


@event("tree.grown")
class Grown(msgspec.Struct, frozen=True):
    height: int


@event("tree.felled", key="name")
class Felled(BaseModel):
    name: str


def broker_on(url: str = "memory://", **options: Any) -> BusBroker:
    """Without the access log. A bus whose URL says so writes MessagePack."""
    if url.endswith("?codec=msgpack"):
        kept = {name: options.pop(name) for name in ("retry",) if name in options}
        bus = Bus(url, service="shop", codec="msgpack", **kept)
        return BusBroker(bus, logger=None, **options)
    return BusBroker(url, service="shop", logger=None, **options)


@asynccontextmanager
async def started(broker: BusBroker) -> AsyncGenerator[BusBroker]:
    """Up, and drained before it goes down."""
    with anyio.fail_after(PATIENCE):
        await broker.start()
        try:
            yield broker
            await broker.bus.drain(timeout=5)
        finally:
            await broker.stop()


def noted(seen: Seen) -> Any:
    """A handler that notes the event."""

    async def note(event: Any) -> None:
        seen.add(event)

    return note
