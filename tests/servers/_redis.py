"""A single Redis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ._node import Node
from ._program import version

__all__ = ["Fsync", "RedisServer"]

Fsync = Literal["everysec", "always", "no"]


class RedisServer(Node):
    """A Redis with an append-only file and no snapshots.

    ``fsync=None`` keeps nothing on disk. ``config`` are lines of redis.conf,
    which count before these.
    """

    def __init__(
        self,
        *,
        fsync: Fsync | None = "everysec",
        config: Sequence[str] = (),
        patience: float = 20.0,
    ) -> None:
        super().__init__(patience=patience)
        self._fsync = fsync
        self._config = config

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_socket(self) -> Path:
        return self.folder / "redis.sock"

    @property
    def unix_url(self) -> str:
        return f"unix://{self.unix_socket}?db=0"

    def configuration(self) -> list[str]:
        lines = [
            "bind 127.0.0.1",
            *self.ports(),
            f"unixsocket {self.unix_socket}",
            f"dir {self.folder}",
            'save ""',
            # A replica is there at once: the five seconds are for the second of many.
            "repl-diskless-sync-delay 0",
        ]
        if self._fsync is not None:
            lines += ["appendonly yes", f"appendfsync {self._fsync}"]
        if version(self.program) >= (7, 0):
            # DEBUG SLEEP and DEBUG LOADAOF; before 7.0 they were always allowed.
            lines.append("enable-debug-command local")
        # What stands last counts.
        return [*lines, *self._config]

    def ports(self) -> list[str]:
        """The lines that say where it listens."""
        return [f"port {self.port}"]
