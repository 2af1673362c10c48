"""One FastStream app in a process, on Redis or on Kafka: SHOP_URL says where.

``SHOP_URL=redis://localhost:6379`` or ``SHOP_URL=kafka://localhost:9092`` is all that changes; the
handlers, the order of each cart, the retries and the dead letters stay. FastStream's own brokers
have other decorators and other semantics for each server.
"""

from __future__ import annotations

import os
from collections import defaultdict

import anyio
import msgspec
from faststream import FastStream

from busway import event
from busway_faststream import BusBroker, MessageDep

URL = os.environ.get("SHOP_URL", "memory://")
CARTS, CHANGES = 3, 5


@event("cart.changed", key="cart")
class CartChanged(msgspec.Struct, frozen=True):
    cart: str
    change: int


broker = BusBroker(URL, service="shop", logger=None)
app = FastStream(broker)
seen: dict[str, list[int]] = defaultdict(list)
done = anyio.Event()


@broker.subscriber("cart.*", group="stock", concurrency=CARTS)
async def reserve(changed: CartChanged, message: MessageDep) -> None:
    if changed.change == 2 and message.raw_message.attempt == 1:
        raise ConnectionError("the first time it fails")
    seen[changed.cart].append(changed.change)
    if sum(map(len, seen.values())) == CARTS * CHANGES:
        done.set()


@app.after_startup
async def shop() -> None:
    for change in range(CHANGES):
        for cart in range(CARTS):
            await broker.publish(CartChanged(f"cart-{cart}", change))
    with anyio.fail_after(30):
        await done.wait()
    for name, changes in sorted(seen.items()):
        print(f"{name}: {changes}")
        assert changes == list(range(CHANGES))
    print(f"in order, on {URL.partition('://')[0]}")
    app.exit()


if __name__ == "__main__":
    anyio.run(app.run)
