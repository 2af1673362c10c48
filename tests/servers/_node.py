"""One server process, its folder and its port."""

from __future__ import annotations

import shutil
import signal
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from ._connection import Connection, Reply
from ._errors import ServerError
from ._ports import free_port
from ._program import Running, launch
from ._sweeper import Leftover
from ._until import until

__all__ = ["Node"]


class Node:
    """A server with a configuration file of its own, on 127.0.0.1, on one port for its life.

    ``patience`` is in seconds: how long a start, a stop or a change of state may take.
    """

    arguments: Sequence[str] = ()
    program: str | None = None
    """None: what this machine has."""

    def __init__(self, *, patience: float = 20.0) -> None:
        self.patience = patience
        self.port = 0
        self.folder = Path(tempfile.mkdtemp(prefix="busway-"))
        self._leftover = Leftover("remove", str(self.folder))
        self._running: Running | None = None

    def configuration(self) -> list[str]:
        """The lines of the configuration file. It is written once: the server may rewrite it."""
        raise NotImplementedError

    @property
    def running(self) -> bool:
        """Whether the process is there; a paused one is."""
        return self._running is not None and self._running.status is None

    @property
    def log(self) -> str:
        """The last lines that the server printed."""
        path = self.folder / "server.log"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return "\n".join(lines[-20:])

    def start(self, *, ready: bool = True) -> Self:
        """Start it, and wait until it answers, unless ``ready=False``.

        Raises NoServer when the machine has none, ServerError when it does not come up.
        """
        if self.running:
            raise ServerError(f"the server on port {self.port} runs already")
        first = self.port == 0
        for _ in range(5):
            if first:
                self.port = free_port()
                self._file.write_text("".join(f"{line}\n" for line in self.configuration()))
            self._running = launch(
                self.folder, str(self._file), *self.arguments, program=self.program
            )
            if self._came_up(ready):
                return self
            if not first:
                break
        raise ServerError(f"somebody else listens on port {self.port}\n{self.log}")

    def stop(self) -> None:
        """End it as an operator does (SIGTERM): it writes what it has. Raises ServerError when it
        does not end in time; it is killed then."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it by kill -9."""
        self._end(signal.SIGKILL)

    def restart(self, *, hard: bool = False, ready: bool = True) -> None:
        """End it, by kill -9 when ``hard``, and start it on the same port and folder."""
        if self.running:
            self._end(signal.SIGKILL if hard else signal.SIGTERM)
        self.start(ready=ready)

    def pause(self) -> None:
        """SIGSTOP: the connections stay open, and nothing answers."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def connect(self, timeout: float = 5.0) -> Connection:
        """A connection of one's own, for a state that lasts: MULTI, CLIENT, a blocking read."""
        return Connection(socket.create_connection(("127.0.0.1", self.port), timeout))

    def command(self, *words: str | int | bytes) -> Reply:
        """One command over a connection of its own."""
        with self.connect() as connection:
            return connection.command(*words)

    def info(self, section: str) -> dict[str, str]:
        """INFO, its lines as a mapping."""
        with self.connect() as connection:
            return _read(connection.command("INFO", section))

    def close(self) -> None:
        """Kill it when it runs, and remove its folder."""
        if self.running:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._leftover.gone()

    def __enter__(self) -> Self:
        try:
            return self if self.running else self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _file(self) -> Path:
        return self.folder / "server.conf"

    def _came_up(self, ready: bool) -> bool:
        """False when its port was taken by somebody else."""
        ended = False

        def answers() -> bool:
            nonlocal ended
            ended = not self.running
            return ended or (self._is_this_one() and (not ready or self.command("PING") == "PONG"))

        try:
            until(answers, f"an answer on port {self.port}", self.patience, log=lambda: self.log)
        except ServerError:
            if self.running:
                self.kill()
            raise
        if ended and "Address already in use" not in self.log:
            raise ServerError(f"the server ended at its start\n{self.log}")
        return not ended

    def _is_this_one(self) -> bool:
        """Not another who was first on this port. A server that loads says so, too."""
        with self.connect(timeout=1.0) as connection:
            said = _read(connection.command("INFO", "server"))
        return said["config_file"] == str(self._file)

    def _send(self, number: signal.Signals) -> Running:
        if self._running is None or not self.running:
            raise ServerError(f"the server on port {self.port} does not run\n{self.log}")
        self._running.send(number)
        return self._running

    def _end(self, number: signal.Signals) -> None:
        if number is not signal.SIGKILL:
            # What is paused takes nothing else.
            self._send(signal.SIGCONT)
        running = self._send(number)
        if not running.ended(self.patience):
            running.send(signal.SIGKILL)
            running.ended(self.patience)
            raise ServerError(f"not ended within {self.patience:g} s by {number.name}\n{self.log}")


def _read(info: Reply) -> dict[str, str]:
    pairs = (line.partition(":") for line in str(info).splitlines() if ":" in line)
    return {name: value for name, _, value in pairs}
