"""An order goes through three topics of Kafka: placed, paid, shipped. It needs a Kafka:
BUSWAY_KAFKA, or one on this machine.

Each step is a group that publishes what it did. Events of one order have its id as their key, so
each topic holds them in one partition, one after another, however many processes there are; the
correlation id holds the whole way together.
"""

from __future__ import annotations

import os
from collections import defaultdict

import anyio
import msgspec

from busway import Bus, Message, event

URL = os.environ.get("BUSWAY_KAFKA", "kafka://localhost:9092")
ORDERS = 12


@event("order.placed", key="order_id")
class OrderPlaced(msgspec.Struct, frozen=True):
    order_id: str
    total: float


@event("payment.taken", key="order_id")
class PaymentTaken(msgspec.Struct, frozen=True):
    order_id: str


@event("parcel.shipped", key="order_id")
class ParcelShipped(msgspec.Struct, frozen=True):
    order_id: str


bus = Bus(URL, service="shop")
ways: dict[str, list[str]] = defaultdict(list)


@bus.subscribe(OrderPlaced, group="billing", concurrency=8)
async def charge(order: OrderPlaced, message: Message[OrderPlaced]) -> None:
    await message.publish(PaymentTaken(order.order_id))


@bus.subscribe(PaymentTaken, group="warehouse", concurrency=8)
async def ship(payment: PaymentTaken, message: Message[PaymentTaken]) -> None:
    await message.publish(ParcelShipped(payment.order_id))


@bus.subscribe("{order,payment,parcel}.*", group="tracking")
async def track(step: object, message: Message[object]) -> None:
    correlation = message.correlation_id
    assert correlation is not None
    ways[correlation].append(message.topic)


async def main() -> None:
    async with bus:
        for number in range(ORDERS):
            await bus.publish(OrderPlaced(f"o-{number}", 9.5))
        with anyio.fail_after(30):
            while sum(map(len, ways.values())) < 3 * ORDERS:
                await anyio.sleep(0.01)
        await bus.drain()
    for way in list(ways.values())[:3]:
        print(" -> ".join(way))
    assert len(ways) == ORDERS
    assert all(
        sorted(way) == ["order.placed", "parcel.shipped", "payment.taken"] for way in ways.values()
    )


anyio.run(main)
