"""A shop in FastAPI: an order is taken whatever becomes of its event.

The bus starts and stops with the app, and what a request publishes carries its correlation id. With
`emit` a request neither waits for the bus nor fails by it. It is like an outbox in that the request
has nothing to do with the sending, and unlike one in that what waits dies with the process: where
no event may be lost, `await bus.publish(...)` before you answer.
"""

from __future__ import annotations

from typing import Annotated, Any

import anyio
import httpx
import msgspec
import uvicorn
from fastapi import Depends, FastAPI, Request

from busway import Bus, event
from busway.asgi import BusMiddleware


@event("order.placed", key="order_id")
class OrderPlaced(msgspec.Struct, frozen=True):
    order_id: str
    cents: int


@event("order.billed", key="order_id")
class OrderBilled(msgspec.Struct, frozen=True):
    order_id: str


bus = Bus("memory://", service="shop")
app = FastAPI(lifespan=bus.lifespan)
app.add_middleware(BusMiddleware, bus=bus)

orders: dict[str, str] = {}
log: list[str] = []


def the_bus(request: Request) -> Bus:
    return request.state.bus  # type: ignore[no-any-return]


BusDep = Annotated[Bus, Depends(the_bus)]


@app.post("/orders/{order_id}", status_code=201)
async def place(order_id: str, bus: BusDep) -> dict[str, str]:
    orders[order_id] = "placed"  # your database
    bus.emit(OrderPlaced(order_id, 9950))
    return {"order": order_id}


@app.get("/prices/{item}")
async def price(item: str, bus: BusDep) -> Any:
    """An answer that comes as an event."""
    return await bus.request("price.asked", item, returns=int, timeout=10)


@bus.subscribe("price.asked")
async def tell_price(item: str) -> int:
    return 300 if item == "tea" else 450


@bus.subscribe(OrderPlaced)
async def bill(order: OrderPlaced) -> None:
    orders[order.order_id] = "billed"
    await bus.publish(OrderBilled(order.order_id))


@bus.subscribe("order.*", group="log")
async def note(order: OrderPlaced | OrderBilled, message: Any) -> None:
    log.append(f"{message.correlation_id}: {message.topic} {order.order_id}")


async def shop(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        taken = await client.post("/orders/o-1", headers={"X-Correlation-ID": "visit-7"})
        assert (taken.status_code, taken.headers["X-Correlation-ID"]) == (201, "visit-7")
        assert (await client.get("/prices/tea")).json() == 300
        with anyio.fail_after(20):
            while len(log) < 2:
                await anyio.sleep(0.01)
        await bus.stop()  # as if the broker were gone
        late = await client.post("/orders/o-2")
        assert late.status_code == 201, "an order is an order"
        assert (await client.get("/prices/tea")).status_code == 503


async def main() -> None:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        with anyio.fail_after(30):
            while not server.started:
                await anyio.sleep(0.01)
        await shop(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
        server.should_exit = True
    print("\n".join(log))
    assert sorted(log) == ["visit-7: order.billed o-1", "visit-7: order.placed o-1"]
    assert orders == {"o-1": "billed", "o-2": "placed"}
    assert bus.stats().dropped == 1  # the event of o-2: counted and logged


anyio.run(main)
