"""A page that shows flights as they happen, in Starlette: Server-Sent Events.

With --serve it goes on, for a browser, and says where. Without, a client of its own looks
on, loses its connection, comes back, and has missed nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Mount, Route

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from busway import Bus
from busway.asgi import EventStream
from examples.flights.load import flights

URL = "memory://"
PAGE = Path(__file__).parent / "flights" / "live.html"

bus = Bus(URL, service="airport")
live = EventStream(bus, "flight.*", heartbeat=1.0, retry=0.2)


async def page(_: Request) -> FileResponse:
    return FileResponse(PAGE)


app = Starlette(routes=[Route("/", page), Mount("/live", live)], lifespan=bus.lifespan)


async def depart(count: int | None, rate: float) -> None:
    """The flights of January 2013, a little faster."""
    for flight in flights(count):
        await bus.publish(flight)
        await anyio.sleep(1 / rate)


async def look(url: str, seen: list[Any], count: int, last: str) -> str:
    """What a browser does; returns the id of the last event."""
    async with (
        httpx.AsyncClient(timeout=20) as client,
        client.stream("GET", f"{url}/live/", headers={"Last-Event-ID": last}) as stream,
    ):
        async for line in stream.aiter_lines():
            if line.startswith("id: "):
                last = line.removeprefix("id: ")
            elif line.startswith("data: "):
                seen.append(msgspec.json.decode(line.removeprefix("data: ")))
                if len(seen) == count:
                    break
    return last


async def watch(url: str) -> None:
    seen: list[Any] = []

    async def lose_the_connection_once() -> None:
        last = await look(url, seen, 50, "")
        while live.watching:
            await anyio.sleep(0.01)
        await anyio.sleep(0.1)  # flights go on departing
        await look(url, seen, 200, last)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lose_the_connection_once)
            while not live.watching:
                await anyio.sleep(0.01)
            await depart(200, 400.0)
    for event in seen[:5]:
        print(event["type"], event["data"]["carrier"], event["data"]["number"])
    assert [each["data"]["number"] for each in seen] == [each.number for each in flights(200)]


async def main(*, serve: bool, port: int, rate: float) -> None:
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=1)
    )
    async with anyio.create_task_group() as tasks:

        async def serving() -> None:
            await server.serve()
            tasks.cancel_scope.cancel()  # by Ctrl-C

        tasks.start_soon(serving)
        with anyio.fail_after(30):
            while not server.started:
                await anyio.sleep(0.01)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        if serve:
            print(f"look at {url}", flush=True)
            await depart(None, rate)
        else:
            await watch(url)
        server.should_exit = True


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rate", type=float, default=4.0, help="flights a second")
    given = parser.parse_args()
    anyio.run(lambda: main(serve=given.serve, port=given.port, rate=given.rate))
