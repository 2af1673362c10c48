"""A live feed for browsers: pub/sub tells every web process, and each tells its browsers. It needs
a Redis: BUSWAY_URL, or one on this machine.

Nothing is stored. A browser sees what happens while it looks, and one that is too slow sees less.
A framework's websocket or event stream would iterate over ``Feed.watch``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from busway import Bus, Message, event

URL = os.environ.get("BUSWAY_URL", "redis://localhost:6379").replace("://", "+pubsub://", 1)


@event("price.changed", key="item")
class PriceChanged(msgspec.Struct, frozen=True):
    item: str
    cents: int


class Feed:
    """What one web process tells its browsers."""

    def __init__(self, bus: Bus) -> None:
        self._browsers: set[MemoryObjectSendStream[dict[str, Any]]] = set()
        bus.add(self._tell, "price.*", broadcast=True)

    async def _tell(self, price: PriceChanged, message: Message[PriceChanged]) -> None:
        change = {"topic": message.topic, "item": price.item, "cents": price.cents}
        for browser in self._browsers:
            try:
                browser.send_nowait(change)
            except anyio.WouldBlock:
                pass  # this browser is too slow, and the next price is as good

    @asynccontextmanager
    async def watch(self) -> AsyncGenerator[MemoryObjectReceiveStream[dict[str, Any]]]:
        """What one browser sees, from now on."""
        send, receive = anyio.create_memory_object_stream[dict[str, Any]](100)
        self._browsers.add(send)
        try:
            with send, receive:
                yield receive
        finally:
            self._browsers.discard(send)


async def main() -> None:
    web1, web2 = Bus(URL, service="web"), Bus(URL, service="web")  # two processes of a web service
    feed1, feed2 = Feed(web1), Feed(web2)
    shop = Bus(URL, service="shop", publish_only=True)
    seen: dict[str, list[int]] = {"Ada": [], "Ben": [], "Eve": []}

    async def browse(name: str, feed: Feed, prices: int, looking: anyio.Event) -> None:
        async with feed.watch() as changes:
            looking.set()
            with anyio.fail_after(20):
                async for change in changes:
                    seen[name].append(change["cents"])
                    print(f"{name} sees {change['item']} at {change['cents'] / 100:.2f}")
                    if len(seen[name]) == prices:
                        return

    async with shop:
        await shop.publish(PriceChanged("tea", 300))  # nobody listens yet
        async with web1, web2, anyio.create_task_group() as browsers:
            looking = [anyio.Event(), anyio.Event(), anyio.Event()]
            browsers.start_soon(browse, "Ada", feed1, 3, looking[0])
            browsers.start_soon(browse, "Ben", feed2, 3, looking[1])
            for each in looking[:2]:
                await each.wait()
            await shop.publish(PriceChanged("tea", 310))
            await shop.publish(PriceChanged("tea", 320))
            with anyio.fail_after(20):
                while len(seen["Ben"]) < 2:
                    await anyio.sleep(0.01)
            browsers.start_soon(browse, "Eve", feed2, 1, looking[2])  # comes late
            await looking[2].wait()
            await shop.publish(PriceChanged("tea", 330))
    assert seen["Ada"] == seen["Ben"] == [310, 320, 330]
    assert seen["Eve"] == [330]


anyio.run(main)
