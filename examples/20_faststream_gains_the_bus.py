"""A FastStream app on Redis gains the bus by three lines. It needs a Redis: BUSWAY_URL, or one on
this machine.

FastStream's handler takes orders from a stream, as before. On the bus they are billed: in order
per customer, tried again when the bank does not answer, and set aside when it never will.
`faststream run` would run the app; here it ends itself when all is done.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from faststream import FastStream
from faststream.redis import RedisBroker, StreamSub

from busway import Backoff, Bus, Reject, Retry
from busway_faststream import BusDep

URL = os.environ.get("BUSWAY_URL", "redis://localhost:6379")

broker = RedisBroker(URL)
bus = Bus(URL, service="shop")  # 1
app = FastStream(broker, lifespan=bus.lifespan)  # 2


@broker.subscriber(stream=StreamSub("orders", group="shop", consumer="shop-1"))
async def on_order(order: dict[str, Any], bus: BusDep) -> None:  # 3
    await bus.publish("order.placed", order, key=order["customer"])


bank = {"attempts": 0}
billed: list[str] = []


@bus.subscribe("order.placed", group="billing", retry=Retry(attempts=3, backoff=Backoff(first=0.1)))
async def bill(order: dict[str, Any]) -> None:
    bank["attempts"] += 1
    if bank["attempts"] == 1:
        raise ConnectionError("the bank does not answer")
    if order["total"] < 0:
        raise Reject("nobody is billed less than nothing")
    print(f"billed {order['total']} to {order['customer']}")
    billed.append(order["id"])


@app.after_startup
async def place_orders() -> None:
    for number, total in enumerate([10, 20, -1, 30]):
        order: dict[str, Any] = {"id": f"o-{number}", "customer": "c-1", "total": total}
        await broker.publish(order, stream="orders")


@app.after_startup
async def end_when_all_is_done() -> None:
    async with asyncio.timeout(30):
        while len(billed) < 3:
            await asyncio.sleep(0.01)
    (letter,) = await bus.dead_letters("billing").list()
    print(f"set aside: {letter.reason}")
    app.exit()


asyncio.run(app.run())
assert billed == ["o-0", "o-1", "o-3"], "in order, though the first had to be tried again"
