"""Routers: prefixes, routers in routers, and handlers given when a router is made."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from faststream import Path

from busway_faststream import BusRoute, BusRoutePublisher, BusRouter
from tests.facts import Seen

from .started import Placed, broker_on, started

__all__: list[str] = []

pytestmark = pytest.mark.anyio


async def test_a_prefix_stands_before_patterns_and_topics() -> None:
    seen, broker = Seen(), broker_on()
    inner, outer = BusRouter(prefix="order."), BusRouter(prefix="shop.")

    @inner.subscriber("{kind}")
    @inner.publisher("done.noted")
    async def handle(event: Any, kind: Annotated[str, Path()]) -> str:
        seen.add(kind)
        return kind

    @broker.subscriber("shop.order.done.noted", group="notes")
    async def note(event: str) -> None:
        seen.add(f"noted {event}")

    outer.include_router(inner)
    broker.include_router(outer)
    async with started(broker):
        await broker.publish(1, "shop.order.placed")
    assert seen.items[:2] == ["placed", "noted placed"]


async def test_the_topic_of_a_declared_class_has_no_prefix() -> None:
    seen, broker, router = Seen(), broker_on(), BusRouter(prefix="shop.")

    @router.subscriber(Placed)
    async def handle(event: Placed) -> None:
        seen.add(event.order_id)

    broker.include_router(router)
    async with started(broker):
        await broker.publish(Placed("o-1"))
    assert seen.items == ["o-1"]


async def test_handlers_may_be_given_when_the_router_is_made() -> None:
    seen, broker = Seen(), broker_on()

    async def bill(event: Any) -> str:
        return "billed"

    async def note(event: str) -> None:
        seen.add(event)

    router = BusRouter(
        prefix="shop.",
        handlers=(
            BusRoute(bill, "placed", publishers=(BusRoutePublisher("billed"),)),
            BusRoute(note, "billed", group="notes", concurrency=2),
        ),
    )
    broker.include_routers(router)
    async with started(broker):
        await broker.publish(1, "shop.placed")
    assert seen.items == ["billed"]


async def test_a_broker_may_be_made_with_routers() -> None:
    seen, router = Seen(), BusRouter(prefix="shop.")

    @router.subscriber("placed")
    async def handle(event: Any) -> None:
        seen.add(event)

    broker = broker_on(routers=[router])
    async with started(broker):
        await broker.publish(1, "shop.placed")
    assert seen.items == [1]
