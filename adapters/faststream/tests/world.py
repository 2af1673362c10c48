"""Real processes of FastStream apps, and what they leave in Redis."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from .helping import fresh

__all__ = ["PATIENCE", "World"]

PATIENCE = 40.0
"""Seconds. Each of these starts several interpreters."""


class World:
    """An app's file, its Redis and the process that runs it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.name = fresh("app")
        self.client = redis.Redis.from_url(url, decode_responses=True)
        self.raw = redis.Redis.from_url(url)
        self.environment = {
            **os.environ,
            "URL": url,
            "NAME": self.name,
            "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]),
            "PYTHONUNBUFFERED": "1",
        }
        self.log = folder / "log"

    def close(self) -> None:
        self.client.close()
        self.raw.close()

    def file(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        with (
            self.log.open("wb") as log,
            subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process,
        ):
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def until(self, fact: Callable[[], object], what: str) -> None:
        limit = time.monotonic() + PATIENCE
        while not fact():
            if time.monotonic() > limit:
                pytest.fail(f"not within {PATIENCE:g} s: {what}\n{self.log.read_text()}")
            time.sleep(0.02)

    def up(self) -> list[str]:
        """The processes that have come up."""
        return self.client.lrange(f"{self.name}:up", 0, -1)  # type: ignore[return-value]

    def publish(self, *orders: int) -> None:
        """As a stranger does: FastStream takes bare JSON as well."""
        for order in orders:
            self.client.xadd(self.name, {"__data__": str(order)})

    def billed(self) -> list[list[str]]:
        """Process, order and edition of each."""
        lines: list[str] = self.client.lrange(f"{self.name}:billed", 0, -1)  # type: ignore[assignment]
        return [line.split(":") for line in lines]

    def orders(self) -> list[int]:
        return sorted(int(order) for _, order, _ in self.billed())

    def ends_well(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, self.log.read_text()
