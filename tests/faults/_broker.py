"""What the processes of a fault run share: a server of the run's own, or one that was named."""

from __future__ import annotations

import re
import time
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from tests.servers import Connection, ErrorReply, RedisServer

__all__ = ["Broker", "Given", "OwnRedis", "behind", "lease_of", "shards_of", "target_of"]

LEASE = 3.0
DEFAULT_LEASE = 60.0


class Broker(Protocol):
    """All of it blocks."""

    url: str
    restarts: bool
    """Whether it can be killed and started again."""

    def restart(self, down: float, fsync: str) -> None:
        """kill -9, so many seconds of nothing, and up again."""

    def sockets(self) -> int | None:
        """The connections of everybody else; None when that cannot be told."""


class OwnRedis:
    """A Redis that was started here, with an append-only file; ``query`` are the URL's options."""

    restarts = True

    def __init__(self, server: RedisServer, query: str) -> None:
        self.server = server
        self.url = f"{server.url}{query}"

    def restart(self, down: float, fsync: str) -> None:
        self.server.command("CONFIG", "SET", "appendfsync", fsync)
        self.server.kill()
        time.sleep(down)
        self.server.start()

    def sockets(self) -> int | None:
        return _clients(self.server.connect())


class Given:
    """One that somebody else runs."""

    restarts = False

    def __init__(self, url: str) -> None:
        self.url = url

    def restart(self, down: float, fsync: str) -> None:
        raise NotImplementedError("it is not ours")

    def sockets(self) -> int | None:
        return None


def _clients(connection: Connection) -> int | None:
    """All but this one."""
    with connection:
        try:
            listed = connection.command("CLIENT", "LIST")
        except ErrorReply:
            return None
    return len(str(listed).strip().splitlines()) - 1


def target_of(url: str) -> tuple[str, int] | None:
    """The one host and port that a proxy can stand before; None when there is no such thing."""
    parts = urlsplit(url)
    if "," in parts.netloc or not parts.hostname:
        return None
    port = parts.port or (6379 if parts.scheme == "redis" else None)
    return None if port is None else (parts.hostname, port)


def behind(url: str, port: int) -> str:
    """The same, by way of a proxy on this machine."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{port}"))


def lease_of(url: str) -> float:
    """Seconds."""
    found = re.search(r"[?&]lease=(\d+(?:\.\d+)?)(ms|s|m|h)?(?:&|$)", url)
    if found is None:
        return DEFAULT_LEASE
    unit = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}[found[2]]
    return float(found[1]) * unit


def shards_of(url: str) -> int:
    found = re.search(r"[?&]shards=(\d+)(?:&|$)", url)
    return 1 if found is None else int(found[1])
