"""How many browsers one process tells how much, measured over real connections.

    python -m tests.web.load [browsers] [events]

The server has a process of its own. A browser reads as fast as it can; some go away and come back.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.servers._ports import free_port

__all__: list[str] = []

LEAVES_AFTER = 100
"""Every tenth browser goes away after so many events, and comes back."""


def serve(port: int, events: int) -> None:
    """The server's process: the events are published when it is asked for them."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Mount, Route

    from busway import Bus
    from busway.asgi import EventStream

    bus = Bus("memory://", service="load")
    live = EventStream(bus, "order.*", keep=events)

    async def watching(_: Request) -> JSONResponse:
        return JSONResponse(live.watching)

    async def publish(_: Request) -> JSONResponse:
        began = time.perf_counter()
        for number in range(events):
            await bus.publish("order.placed", {"number": number, "item": "tea", "cents": 300})
            await anyio.lowlevel.checkpoint()
        return JSONResponse(time.perf_counter() - began)

    routes = [Route("/watching", watching), Route("/publish", publish), Mount("/live", live)]
    app = Starlette(routes=routes, lifespan=bus.lifespan)
    uvicorn.run(app, port=port, log_level="warning", backlog=4096, timeout_graceful_shutdown=1)


async def ask(port: int, path: str, *headers: str) -> ByteStream:
    stream = await anyio.connect_tcp("127.0.0.1", port)
    lines = [f"GET {path} HTTP/1.1", "host: load", *headers, "", ""]
    await stream.send("\r\n".join(lines).encode())
    return stream


async def told(port: int, path: str) -> bytes:
    async with await ask(port, path, "connection: close") as stream:
        got = b""
        while True:
            try:
                got += await stream.receive()
            except anyio.EndOfStream:
                return got.rpartition(b"\r\n\r\n")[2]


async def look(port: int, events: int, *, leaves: bool) -> None:
    seen, last = 0, ""
    while seen < events:
        headers = [f"last-event-id: {last}"] if last else []
        async with await ask(port, "/live/", *headers) as stream:
            lines = BufferedByteReceiveStream(stream)
            until = min(events, seen + LEAVES_AFTER) if leaves else events
            while seen < until:
                line = await lines.receive_until(b"\n", 65_536)
                if line.startswith(b"id: "):
                    last = line[4:].decode()
                elif line.startswith(b"data: "):
                    assert b'"number":%d,' % seen in line, (seen, line)
                    seen += 1


async def measure(port: int, browsers: int, events: int) -> dict[str, Any]:
    with anyio.fail_after(30):
        while True:
            try:
                if await told(port, "/watching") == b"0":
                    break
            except OSError:
                await anyio.sleep(0.05)
    with anyio.fail_after(300):
        async with anyio.create_task_group() as tasks:
            for number in range(browsers):
                tasks.start_soon(lambda n=number: look(port, events, leaves=n % 10 == 0))
            while await told(port, "/watching") != str(browsers).encode():
                await anyio.sleep(0.05)
            began = time.perf_counter()
            published = float(await told(port, "/publish"))
        seconds = time.perf_counter() - began
        while await told(port, "/watching") != b"0":
            await anyio.sleep(0.05)
    return {"published": published, "seconds": seconds}


def main(browsers: int = 200, events: int = 2000) -> None:
    port = free_port()
    code = f"from tests.web.load import serve; serve({port}, {events})"
    server = subprocess.Popen([sys.executable, "-c", code])
    try:
        got = anyio.run(measure, port, browsers, events)
    finally:
        server.terminate()
        server.wait(20)
    each = browsers * events
    print(
        f"{browsers} browsers had {events} events each, every one in order, in "
        f"{got['seconds']:.1f} s ({each / got['seconds']:,.0f} a second); published in "
        f"{got['published']:.1f} s. All that went away were noticed."
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
