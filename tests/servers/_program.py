"""What runs a Redis: redis-server on PATH, or the one in Docker's image."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

from . import _running
from ._errors import NoServer
from ._running import Running, need_engine

__all__ = ["launch", "version"]

IMAGE = "redis:7"


def launch(folder: Path, *arguments: str, program: str | None = None) -> Running:
    """Start redis-server, or that program; what it prints is added to ``server.log`` in the folder.

    Raises NoServer when this machine has none and no Docker.
    """
    program = program or _local()
    if program is None:
        need_engine("redis-server")
        return _running.launch(folder, ["redis-server", *arguments], image=IMAGE)
    return _running.launch(folder, [program, *arguments])


def version(program: str | None = None) -> tuple[int, int]:
    """Of the server that ``launch`` starts, such as (7, 0). Raises NoServer."""
    local = program or _local()
    if local is not None:
        return _asked(local, "--version")
    need_engine("redis-server")
    return _asked("docker", "run", "--rm", IMAGE, "redis-server", "--version")


def _local() -> str | None:
    return shutil.which("redis-server")


@functools.cache
def _asked(*command: str) -> tuple[int, int]:
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    found = re.search(r"v=(\d+)\.(\d+)", said)
    if found is None:
        raise NoServer(f"{command[0]} says no version: {said.strip()!r}")
    return int(found[1]), int(found[2])
