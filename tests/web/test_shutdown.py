"""A server as a process of its own, ended as an operator does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.servers._ports import free_port
from tests.web.serving import PATIENCE, looking, wait_for

__all__: list[str] = []

ROOT = Path(__file__).resolve().parent.parent.parent
APP = """
from fastapi import FastAPI
from busway import Bus
from busway.asgi import BusMiddleware, EventStream

bus = Bus("memory://", service="shop")
live = EventStream(bus, "order.*", heartbeat=0.2)
app = FastAPI(lifespan=bus.lifespan)
app.add_middleware(BusMiddleware, bus=bus)
app.mount("/live", live)

@app.post("/orders/{id}")
async def place(id: str) -> None:
    await bus.publish("order.placed", id)

@bus.subscribe("order.*")
async def note(id: str) -> None:
    print("handled", id, flush=True)
"""


def test_a_server_that_is_told_to_end_does_so_with_streams_open(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    port = free_port()
    command = [sys.executable, "-W", "error", "-m", "uvicorn", "shop:app", "--port", str(port)]
    served = subprocess.Popen(
        [*command, "--timeout-graceful-shutdown", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{tmp_path}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _answers(url), "an answer")
        with (
            looking(f"{url}/live/") as one,
            looking(f"{url}/live/") as two,
            httpx.Client(base_url=url, timeout=PATIENCE) as client,
        ):
            for number in range(20):
                client.post(f"/orders/{number}")
            assert len(one.take(20)) == len(two.take(20)) == 20
            served.send_signal(signal.SIGTERM)
            said, _ = served.communicate(timeout=PATIENCE)
    finally:
        served.kill()
        served.wait(PATIENCE)
    assert [line for line in said.splitlines() if line.startswith("handled")] == [
        f"handled {number}" for number in range(20)
    ]
    assert "Application shutdown complete." in said
    assert "Traceback" not in said.partition("Application shutdown complete.")[2]


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/docs", timeout=PATIENCE).is_success
    except httpx.TransportError:
        return False
