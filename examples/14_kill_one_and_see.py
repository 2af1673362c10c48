"""A process is killed in the middle of its work, and another one does it. It needs a Redis:
BUSWAY_URL, or one on this machine.

    python examples/14_kill_one_and_see.py

It starts itself twice more, as workers. The first hangs in its handler and is killed, with the
signal that nobody can catch. Its lease runs out, and the second has the event.
"""

from __future__ import annotations

import os
import sys
import time

import anyio
import msgspec
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from busway import Bus, Message, event

HERE = os.environ.get("BUSWAY_URL", "redis://localhost:6379")
LEASE = 2.0  # seconds; 60 unless you say otherwise
URL = f"{HERE}{'&' if '?' in HERE else '?'}lease={LEASE}s"


@event("order.placed", key="order_id")
class OrderPlaced(msgspec.Struct, frozen=True):
    order_id: str


async def work(name: str) -> None:
    bus = Bus(URL, service="shop")

    @bus.subscribe(OrderPlaced, group="billing", concurrency=4)
    async def charge(order: OrderPlaced, message: Message[OrderPlaced]) -> None:
        print(f"{name} begins with {order.order_id}", flush=True)
        if name == "one" and order.order_id == "o-2":
            await anyio.sleep_forever()
        print(f"{name} charged {order.order_id}", flush=True)

    async with bus:
        print(f"{name} is ready", flush=True)
        await anyio.sleep_forever()


async def until(worker: Process, line: str, said: list[str]) -> None:
    """Print what a worker says, up to a line."""
    assert worker.stdout is not None
    with anyio.fail_after(30):
        async for text in TextReceiveStream(worker.stdout):
            for each in text.splitlines():
                print(each)
                said.append(each)
            if line in said:
                return
    raise AssertionError(f"it never said {line!r}")


async def main() -> None:
    said: list[str] = []
    me = [sys.executable, __file__]
    async with (
        await anyio.open_process([*me, "one"], stderr=None) as one,
        Bus(URL, service="web", publish_only=True) as web,
    ):
        await until(one, "one is ready", said)
        await web.publish(OrderPlaced("o-1"))
        await until(one, "one charged o-1", said)
        await web.publish(OrderPlaced("o-2"))
        await until(one, "one begins with o-2", said)
        async with await anyio.open_process([*me, "two"], stderr=None) as two:
            await until(two, "two is ready", said)
            print("one is killed")
            one.kill()
            began = time.monotonic()
            await until(two, "two charged o-2", said)
            print(f"two has taken over after {time.monotonic() - began:.1f} s")
            two.terminate()
    assert "one charged o-2" not in said
    assert said.count("one charged o-1") == 1
    assert "two charged o-1" not in said, "what was done was acknowledged"


if sys.argv[1:]:
    anyio.run(work, sys.argv[1])
else:
    anyio.run(main)
