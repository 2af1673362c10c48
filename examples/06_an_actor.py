"""An actor: an object with state that nobody else touches, and one mailbox."""

from __future__ import annotations

import anyio
import msgspec

from busway import Actor, Bus, event, on


@event("stock.arrived", key="item")
class Arrived(msgspec.Struct, frozen=True):
    item: str
    count: int


@event("stock.sold", key="item")
class Sold(msgspec.Struct, frozen=True):
    item: str
    count: int


@event("stock.ran_out", key="item")
class RanOut(msgspec.Struct, frozen=True):
    item: str


class Warehouse(Actor):
    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.shelf: dict[str, int] = {}

    async def on_start(self) -> None:
        print("the warehouse opens")

    @on("stock.arrived")
    async def arrived(self, goods: Arrived) -> None:
        self.shelf[goods.item] = self.shelf.get(goods.item, 0) + goods.count

    @on("stock.sold")
    async def sold(self, goods: Sold) -> None:
        self.shelf[goods.item] -= goods.count  # no lock: one event at a time
        if self.shelf[goods.item] == 0:
            await self.bus.publish(RanOut(goods.item))

    async def on_stop(self) -> None:
        print("the warehouse closes with", self.shelf)


bus = Bus()
warehouse = Warehouse(bus)
bus.add(warehouse)
empty: list[str] = []


@bus.subscribe(RanOut)
async def reorder(goods: RanOut) -> None:
    print(f"order more {goods.item}")
    empty.append(goods.item)


async def main() -> None:
    async with bus:
        await bus.publish(Arrived("tea", 3))
        await bus.publish(Arrived("jam", 1))
        for _ in range(3):
            await bus.publish(Sold("tea", 1))
        await bus.drain()


anyio.run(main)
assert warehouse.shelf == {"tea": 0, "jam": 1}
assert empty == ["tea"]
