"""One server of Redis' kind: its configuration, its port, and how one talks to it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

from ._connection import Connection, Reply
from ._ports import free_port
from ._process import Process
from ._program import launch
from ._running import Running

__all__ = ["Node"]


class Node(Process):
    """A server with a configuration file of its own, which answers PING."""

    arguments: Sequence[str] = ()
    program: str | None = None
    """None: what this machine has."""

    def __init__(self, *, patience: float = 20.0) -> None:
        super().__init__(patience=patience)

    def configuration(self) -> list[str]:
        """The lines of the configuration file."""
        raise NotImplementedError

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

    @property
    def _file(self) -> Path:
        return self.folder / "server.conf"

    def _settle(self) -> None:
        self.port = free_port()
        self._file.write_text("".join(f"{line}\n" for line in self.configuration()))

    def _launch(self) -> Running:
        return launch(self.folder, str(self._file), *self.arguments, program=self.program)

    def _answers(self, ready: bool) -> bool:
        return self._is_this_one() and (not ready or self.command("PING") == "PONG")

    def _is_this_one(self) -> bool:
        """Not another who was first on this port. A server that loads says so, too."""
        with self.connect(timeout=1.0) as connection:
            said = _read(connection.command("INFO", "server"))
        return said["config_file"] == str(self._file)


def _read(info: Reply) -> dict[str, str]:
    pairs = (line.partition(":") for line in str(info).splitlines() if ":" in line)
    return {name: value for name, _, value in pairs}
