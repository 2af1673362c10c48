"""``faststream run`` and ``faststream docs`` with an app of a BusBroker."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

__all__: list[str] = []

APP = """
    from faststream import FastStream
    from busway_faststream import BusBroker

    broker = BusBroker("memory://", service="shop")
    app = FastStream(broker)

    @broker.subscriber("order.*", group="billing")
    async def bill(event: dict) -> None:
        print("billed", event["a"], flush=True)

    @app.after_startup
    async def publish() -> None:
        await broker.publish({"a": 7}, "order.placed")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "serve.py").write_text(textwrap.dedent(APP))
    return tmp_path


def test_it_runs_until_it_is_told_to_stop(folder: Path) -> None:
    pytest.importorskip("typer")
    command = [sys.executable, "-m", "faststream", "run", "serve:app"]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    told: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            told.append(line)
            if "Processed" in line:
                break
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert "billed 7\n" in told, "".join(told)
    (received,) = [line for line in told if "Received" in line]
    assert "order.placed" in received
    assert "billing" in received
    assert process.returncode == 0, "".join([*told, rest])


def test_its_document_is_written(folder: Path) -> None:
    pytest.importorskip("typer")
    command = [
        sys.executable,
        "-m",
        "faststream",
        "docs",
        "gen",
        "serve:app",
        "--out",
        "found.json",
    ]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((folder / "found.json").read_text())
    assert list(found["channels"]) == ["order.*:Bill"]
