"""One event, one subscriber, one bus."""

from __future__ import annotations

import anyio
import msgspec

from busway import Bus, event


@event("order.placed", key="order_id")
class OrderPlaced(msgspec.Struct, frozen=True):
    order_id: str
    total: float


bus = Bus("memory://", service="shop")  # in this process; another URL is another broker
charged: list[str] = []


@bus.subscribe("order.*")
async def charge(order: OrderPlaced) -> None:
    print(f"charging {order.total:.2f} for {order.order_id}")
    charged.append(order.order_id)


async def main() -> None:
    async with bus:
        await bus.publish(OrderPlaced("o-1", 99.5))
        await bus.drain()  # until it is handled


anyio.run(main)
assert charged == ["o-1"]
