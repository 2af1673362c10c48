"""What runs a server: redis-server on PATH, or the one in Docker's image."""

from __future__ import annotations

import functools
import os
import re
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from ._errors import NoServer, ServerError
from ._sweeper import Leftover

__all__ = ["Running", "launch", "version"]

IMAGE = "redis:7"


class Running:
    """A server's process."""

    def __init__(self, process: subprocess.Popen[bytes], container: str | None) -> None:
        self._process = process
        self._container = container
        self._leftovers = [Leftover("kill", process.pid)]
        if container is not None:
            self._leftovers.append(Leftover("run", "docker", "rm", "-f", container))

    def send(self, number: signal.Signals) -> None:
        if self._container is not None:
            command = ["docker", "kill", "--signal", number.name, self._container]
            sent = subprocess.run(command, capture_output=True, check=False, timeout=20)
            if sent.returncode != 0 and not self.ended(1):
                raise ServerError(f"{' '.join(command)} failed: {sent.stderr.decode().strip()}")
        elif self.status is None:
            os.killpg(self._process.pid, number)

    @property
    def status(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def ended(self, patience: float) -> bool:
        """Wait for its end; whether it came."""
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return False
        for each in self._leftovers:
            each.gone()
        self._leftovers = []
        return True


def launch(folder: Path, *arguments: str, program: str | None = None) -> Running:
    """Start redis-server, or that program; what it prints is added to ``server.log`` in the folder.

    Raises NoServer when this machine has none and no Docker.
    """
    container = None
    program = program or _local()
    command = [program or "redis-server", *arguments]
    if program is None:
        container = f"busway-test-{secrets.token_hex(6)}"
        command = [*_docker(container, folder), *command]
    with (folder / "server.log").open("ab") as log:
        # In a session of its own: Ctrl-C in a terminal is for the tests.
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return Running(process, container)


def version(program: str | None = None) -> tuple[int, int]:
    """Of the server that ``launch`` starts, such as (7, 0). Raises NoServer."""
    local = program or _local()
    if local is not None:
        return _asked(local, "--version")
    _need_engine(os.environ.get("PATH", ""))
    return _asked("docker", "run", "--rm", IMAGE, "redis-server", "--version")


def _local() -> str | None:
    return shutil.which("redis-server")


def _docker(container: str, folder: Path) -> list[str]:
    _need_engine(os.environ.get("PATH", ""))
    place = ["--volume", f"{folder}:{folder}", "--workdir", str(folder)]
    user = ["--user", f"{os.getuid()}:{os.getgid()}"]
    return ["docker", "run", "--rm", "--name", container, "--network=host", *user, *place, IMAGE]


@functools.cache
def _need_engine(path: str) -> None:
    """``path`` is there for the cache."""
    if shutil.which("docker", path=path) is None:
        raise NoServer("there is no redis-server on PATH, and no docker")
    asked = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=20)
    if asked.returncode != 0:
        raise NoServer("there is no redis-server on PATH, and no Docker engine answers")


@functools.cache
def _asked(*command: str) -> tuple[int, int]:
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    found = re.search(r"v=(\d+)\.(\d+)", said)
    if found is None:
        raise NoServer(f"{command[0]} says no version: {said.strip()!r}")
    return int(found[1]), int(found[2])
