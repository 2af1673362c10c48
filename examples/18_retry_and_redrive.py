"""What fails on Kafka waits in a topic of its group, and what keeps failing is sent back once that
can be done. It needs a Kafka: BUSWAY_KAFKA, or one on this machine.

The bank is closed. A payment that fails is tried again from ``busway.order.billing.retry.10s``,
while other orders of the same partition go on; after its last attempt it lies in
``busway.order.billing.dead``, with its whole story, and any tool can read it there.
"""

from __future__ import annotations

import os

import anyio
import msgspec

from busway import Backoff, Bus, Message, Reject, Retry, event

URL = os.environ.get("BUSWAY_KAFKA", "kafka://localhost:9092")


@event("order.placed", key="order_id")
class OrderPlaced(msgspec.Struct, frozen=True):
    order_id: str
    bank: str


# A wait longer than `in_place` is no reason to hold anybody up.
twice = Retry(attempts=2, backoff=Backoff(first=0.5, jitter="none"), in_place=0.0)
bus = Bus(URL, service="shop", retry=twice)
open_banks = {"north"}
charged: list[str] = []


@bus.subscribe(OrderPlaced, group="billing", concurrency=4)
async def charge(order: OrderPlaced, message: Message[OrderPlaced]) -> None:
    print(f"attempt {message.attempt} for {order.order_id}")
    if order.bank == "none":
        raise Reject("there is no such bank")  # no use in trying again
    if order.bank not in open_banks:
        raise ConnectionError(f"the bank {order.bank!r} is closed")
    charged.append(order.order_id)


async def main() -> None:
    async with bus:
        dead = bus.dead_letters("billing")
        for number, bank in enumerate(("north", "south", "none", "north")):
            await bus.publish(OrderPlaced(f"o-{number}", bank))
        await bus.drain()
        assert sorted(charged) == ["o-0", "o-3"]

        letters = {letter.key: letter for letter in await dead.list()}
        for key, letter in sorted(letters.items(), key=lambda each: str(each[0])):
            print(f"dead: {key} after {letter.attempts} attempts: {letter.kind}: {letter.reason}")
        assert {key: letter.attempts for key, letter in letters.items()} == {"o-1": 2, "o-2": 1}

        open_banks.add("south")
        await dead.replay(kind="ConnectionError")
        await bus.drain()
        assert sorted(charged) == ["o-0", "o-1", "o-3"]

        await dead.discard(letters["o-2"].id)
        assert await dead.list() == []


anyio.run(main)
print("charged:", *sorted(charged))
