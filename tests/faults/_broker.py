"""What the processes of a fault run share: a server of the run's own, or one that was named."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit, urlunsplit

from tests.servers import Connection, ErrorReply, RedisServer

from ._commits import Commits
from ._schedule import DECK, Kind, without

__all__ = [
    "Broker", "Given", "Hop", "OwnRedis", "behind", "is_kafka", "lease_of", "shards_of",
    "target_of", "unsure_of",
]  # fmt: skip

LEASE = 3.0
DEFAULT_LEASES = {"kafka": 30.0}
DEFAULT_LEASE = 60.0


class Hop(NamedTuple):
    """Where a proxy stands: what it forwards to, and the port it listens on, 0 for any."""

    host: str
    port: int
    listen: int = 0


class Broker(Protocol):
    """All of it blocks."""

    url: str
    ordered: bool
    """Whether the order of a key holds over all processes."""
    unsure: float
    """Seconds after its end within which a handling may not be acknowledged here yet."""
    deck: Mapping[Kind, int]
    """How often what is done to it and its clients, in so many faults."""
    details: Sequence[str]
    """What a restart is told, one of them each time."""
    commits: Commits | None
    """Where it is read how far the groups said they were; None where that is no number."""

    def hops(self, number: int) -> Sequence[Hop]:
        """The proxies through which the process of this number comes; none where there can be
        none."""
        ...

    def through(self, number: int, ports: Sequence[int]) -> str:
        """Its URL then."""
        ...

    def restart(self, down: float, detail: str) -> None:
        """kill -9, so many seconds of nothing, and up again."""

    def roll(self) -> None:
        """Restart each of its servers in good order, one after another."""

    def sockets(self) -> int | None:
        """The connections of everybody else; None when that cannot be told."""


class Given:
    """One that somebody else runs."""

    details: Sequence[str] = ("",)
    commits: Commits | None = None

    def __init__(self, url: str) -> None:
        self.url = url
        self.ordered = is_kafka(url) or shards_of(url) > 1
        self.unsure = unsure_of(url)
        self.deck = without(DECK, "restart", "roll")
        self._target = target_of(url)
        if self._target is None:
            self.deck = without(self.deck, "cut", "stall")

    def hops(self, number: int) -> Sequence[Hop]:
        return [] if self._target is None else [Hop(*self._target)]

    def through(self, number: int, ports: Sequence[int]) -> str:
        return behind(self.url, ports[0])

    def restart(self, down: float, detail: str) -> None:
        raise NotImplementedError("it is not ours")

    def roll(self) -> None:
        raise NotImplementedError("it is not ours")

    def sockets(self) -> int | None:
        return None


class OwnRedis(Given):
    """A Redis that was started here, with an append-only file; ``query`` are the URL's options."""

    details: Sequence[str] = ("always", "everysec")

    def __init__(self, server: RedisServer, query: str) -> None:
        super().__init__(f"{server.url}{query}")
        self.deck = DECK
        self.server = server

    def restart(self, down: float, detail: str) -> None:
        """``detail``: when it writes to the disk."""
        self.server.command("CONFIG", "SET", "appendfsync", detail)
        self.server.kill()
        time.sleep(down)
        self.server.start()

    def sockets(self) -> int | None:
        return _clients(self.server.connect())


def _clients(connection: Connection) -> int | None:
    """All but this one."""
    with connection:
        try:
            listed = connection.command("CLIENT", "LIST")
        except ErrorReply:
            return None
    return len(str(listed).strip().splitlines()) - 1


def is_kafka(url: str) -> bool:
    """Whether it is a Kafka's, or asks for one."""
    return re.match(r"kafka(?:\+\w+)?(?::|$)", url) is not None


def target_of(url: str) -> tuple[str, int] | None:
    """The one host and port that a proxy can stand before; None when there is no such thing: a
    Kafka tells its clients where its brokers are."""
    parts = urlsplit(url)
    if "," in parts.netloc or not parts.hostname or is_kafka(url):
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
        return DEFAULT_LEASES.get(urlsplit(url).scheme.partition("+")[0], DEFAULT_LEASE)
    unit = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}[found[2]]
    return float(found[1]) * unit


def unsure_of(url: str) -> float:
    """Seconds. A Kafka takes no commit of a group that is being dealt out, which waits for a member
    that is gone until its lease has run out; all others are told of each event at once."""
    return lease_of(url) if is_kafka(url) else 1.0


def shards_of(url: str) -> int:
    found = re.search(r"[?&]shards=(\d+)(?:&|$)", url)
    return 1 if found is None else int(found[1])
