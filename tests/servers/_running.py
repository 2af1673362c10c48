"""A program that runs: one of this machine, or one in a container of Docker's."""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ._errors import NoServer, ServerError
from ._sweeper import Leftover

__all__ = ["Running", "contained", "launch", "need_engine"]


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


def launch(folder: Path, command: Sequence[str], *, image: str | None = None) -> Running:
    """Start it, in a container of the image where one is named. What it prints is added to
    ``server.log`` in the folder."""
    container = None
    if image is not None:
        container = f"busway-test-{secrets.token_hex(6)}"
        command = contained(folder, command, image, "--name", container)
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


def contained(folder: Path, command: Sequence[str], image: str, *options: str) -> list[str]:
    """The command as Docker's: it finds the folder at its place, and this machine's network."""
    place = ["--volume", f"{folder}:{folder}", "--workdir", str(folder)]
    user = ["--user", f"{os.getuid()}:{os.getgid()}"]
    return ["docker", "run", "--rm", *options, "--network=host", *user, *place, image, *command]


def need_engine(missing: str) -> None:
    """Raises NoServer where no engine of Docker answers; ``missing`` is what is wanted of it."""
    problem = _problem_of_engine(os.environ.get("PATH", ""))
    if problem:
        raise NoServer(f"there is no {missing} on PATH, and {problem}")


@functools.cache
def _problem_of_engine(path: str) -> str:
    """``path`` is there for the cache."""
    if shutil.which("docker", path=path) is None:
        return "no docker"
    asked = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=20)
    return "no Docker engine answers" if asked.returncode != 0 else ""
