"""Redis at the edge, relayed into Kafka. It needs both: BUSWAY_URL and BUSWAY_KAFKA, or
each on this machine.

A shop till publishes to the Redis beside it, which answers at once, also when the line to the
centre is down. A relay carries the sales over in the order of each till, and acknowledges one when
Kafka has it. Here the centre is away for a moment at first: the sales wait at the edge, and none
is lost.
"""

from __future__ import annotations

import os
from collections import defaultdict
from functools import partial

import anyio
import msgspec

from busway import Bus, Message, event, relay

EDGE = os.environ.get("BUSWAY_URL", "redis://localhost:6379")
CENTRE = os.environ.get("BUSWAY_KAFKA", "kafka://localhost:9092")
SALES = 5


@event("sale.made", key="till")
class SaleMade(msgspec.Struct, frozen=True):
    till: str
    number: int


@event("drawer.opened", key="till")
class DrawerOpened(msgspec.Struct, frozen=True):
    till: str


async def main() -> None:
    edge, centre = Bus(EDGE, service="store-7"), Bus(CENTRE, service="centre")
    booked: dict[str, list[int]] = defaultdict(list)
    sources: set[str] = set()

    @centre.subscribe("**", group="ledger", concurrency=4)
    async def book(sale: object, message: Message[object]) -> None:
        assert isinstance(sale, SaleMade), "drawers are no business of the centre"
        print(f"booked sale {sale.number} of {sale.till}, made at {message.envelope.source}")
        booked[sale.till].append(sale.number)
        sources.add(message.envelope.source)

    async with edge:
        for number in range(SALES):  # the centre is not there yet
            for till in ("till-1", "till-2"):
                await edge.publish(SaleMade(till, number))
        await edge.publish(DrawerOpened("till-1"))
        async with centre, anyio.create_task_group() as tasks:
            await tasks.start(partial(relay, edge, centre, "sale.*", group="to-centre"))
            with anyio.fail_after(30):
                while sum(map(len, booked.values())) < 2 * SALES:
                    await anyio.sleep(0.01)
            await edge.drain()  # the relay has nothing left
            tasks.cancel_scope.cancel()
    assert booked == {"till-1": list(range(SALES)), "till-2": list(range(SALES))}
    assert sources == {"store-7"}, "nothing is changed on the way"


anyio.run(main)
