"""A FastStream app whose broker is the bus: nothing else has to run.

It is started like any: ``python examples/21_a_faststream_app.py``, or ``faststream run`` with the
module and ``:app``. A payment that fails at first is tried again, in order; one that never works is
set aside, and the app reads why.
"""

from __future__ import annotations

from typing import Annotated

import anyio
import msgspec
from faststream import Depends, FastStream, Path

from busway import Backoff, Retry, event
from busway_faststream import BusBroker, BusRouter, MessageDep


@event("order.placed", key="order_id")
class OrderPlaced(msgspec.Struct, frozen=True):
    order_id: str
    total: float


class Billed(msgspec.Struct, frozen=True):
    order_id: str
    by: str


broker = BusBroker("memory://", service="shop", logger=None)
app = FastStream(broker)
notes = BusRouter(prefix="note.")


def cashier() -> str:
    return "ann"


@broker.subscriber(
    OrderPlaced, group="billing", concurrency=8, retry=Retry(attempts=2, backoff=Backoff(0.01))
)
@broker.publisher("note.billed")
async def charge(
    order: OrderPlaced, message: MessageDep, by: Annotated[str, Depends(cashier)]
) -> Billed:
    attempt = message.raw_message.attempt
    if order.total < 0 or (order.total > 100 and attempt == 1):
        print(f"attempt {attempt} at {order.order_id} fails")
        raise ConnectionError("the bank does not answer")
    return Billed(order.order_id, by)


@notes.subscriber("{kind}")
async def note(billed: Billed, kind: Annotated[str, Path()]) -> None:
    print(f"{kind}: {billed.order_id} by {billed.by}")


broker.include_router(notes)


@app.after_startup
async def sell() -> None:
    bus = broker.bus
    for order in (OrderPlaced("o-1", 99.5), OrderPlaced("o-2", 250), OrderPlaced("o-3", -1)):
        await broker.publish(order)
    await bus.drain(timeout=10)
    for letter in await bus.dead_letters("billing").list():
        print(f"set aside after {letter.attempts} attempts: {letter.reason}")
    app.exit()


if __name__ == "__main__":
    anyio.run(app.run)
