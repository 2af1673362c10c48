"""Two processes share the work of one group. It needs a Redis: BUSWAY_URL, or one on this machine.

    python examples/13_two_processes.py

It starts itself twice more, as workers. Each event goes to one of them.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict

import anyio
import msgspec
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from busway import Bus, event

URL = os.environ.get("BUSWAY_URL", "redis://localhost:6379")


@event("image.uploaded", key="image_id")
class ImageUploaded(msgspec.Struct, frozen=True):
    image_id: int


async def work() -> None:
    """One of the workers: say what is done, until somebody stops it."""
    bus = Bus(URL, service="studio")

    @bus.subscribe(ImageUploaded, group="thumbnails")
    async def thumbnail(image: ImageUploaded) -> None:
        await anyio.sleep(0.01)
        print(image.image_id, flush=True)

    async with bus:
        print("ready", flush=True)
        await anyio.sleep_forever()


async def listen(name: str, worker: Process, done: dict[str, list[int]]) -> None:
    """Note what a worker says, and return when it is ready; the rest goes on beside."""
    assert worker.stdout is not None
    async for text in TextReceiveStream(worker.stdout):
        for line in text.split():
            if line == "ready":
                print(f"{name} is ready", flush=True)
                done[name] = []
            else:
                print(f"{name} made a thumbnail of image {line}", flush=True)
                done[name].append(int(line))


async def main() -> None:
    done: dict[str, list[int]] = defaultdict(list)
    sent = 0
    me = [sys.executable, __file__, "work"]
    async with (
        await anyio.open_process(me, stderr=None) as one,
        await anyio.open_process(me, stderr=None) as two,
        anyio.create_task_group() as tasks,
        Bus(URL, service="web", publish_only=True) as bus,
    ):
        tasks.start_soon(listen, "one", one, done)
        tasks.start_soon(listen, "two", two, done)
        with anyio.fail_after(30):
            while len(done) < 2:
                await anyio.sleep(0.01)
            while min(map(len, done.values())) < 3:  # until each has had its part
                sent += 1
                await bus.publish(ImageUploaded(sent))
                await anyio.sleep(0.005)
            while sum(map(len, done.values())) < sent:
                await anyio.sleep(0.01)
        one.terminate()
        two.terminate()
    assert sorted([*done["one"], *done["two"]]) == list(range(1, sent + 1)), "each once"


anyio.run(work if sys.argv[1:] == ["work"] else main)
