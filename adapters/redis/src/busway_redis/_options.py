"""Where Redis is, and what the adapter shall do with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from busway import OptionError
from busway.transport.options import Convert, Secret, choice, duration, flag, text, whole

__all__ = ["OWN", "PUBSUB", "Node", "Options", "converted", "default_timeout"]


_SHORTEST_LEASE: Final = 0.1


class Node(NamedTuple):
    """The address of a server."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be said in a URL. No way to show it shows a password."""

    nodes: tuple[Node, ...] = (Node("localhost", 6379),)
    """One server, the Sentinels, or some nodes of the cluster."""
    path: str | None = None
    """The server's Unix socket, instead of ``nodes``."""
    topology: Literal["single", "sentinel", "cluster"] = "single"
    service: str = ""
    """What the Sentinels call the master."""
    database: int = 0
    user: str | None = None
    password: Secret | None = None
    sentinel_user: str | None = None
    sentinel_password: Secret | None = None
    tls: bool = False
    sentinel_tls: bool | None = None
    """Whether the Sentinels speak TLS; None: as the servers do."""
    pubsub: bool = False
    """Whether events are told to who listens now and are not stored."""
    client: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    """What the client's connections are made with beside this."""

    prefix: str = "busway"
    """What every key begins with."""
    lease: float = 60.0
    """Seconds after which the deliveries of a process that says nothing are given to others."""
    buffer: int = 10_000
    """Events that wait in this process for a slow group, where nothing is stored."""
    shards: int = 1
    """Streams per channel. Each has one reader in a group, which keeps order between processes."""
    retention: float | None = None
    """Seconds for which events are kept that every group has handled; None: nothing is removed for
    its age. What a group has not handled is kept however old it is."""
    max_length: int | None = None
    """Events in a stream; None: no limit. What was handled makes room first. Only what is published
    counts: retries, dead letters and what is due are written all the same."""
    on_full: Literal["refuse", "drop_oldest"] = "refuse"
    """What is done when ``max_length`` is reached."""
    allow_eviction: bool = False
    """Whether a server that may throw keys away when it is full is used all the same."""
    wait: int = 0
    """Replicas that must have an event before it counts as published. Have they not within half of
    ``timeout``, it may have been written: it is on the master, and would be lost in a failover."""
    timeout: float = 0.0
    """Seconds after which an answer counts as lost. 0 becomes 10 s, or a quarter of the lease where
    that is less; it must be less than a third of the lease."""
    on_unknown: Literal["raise", "resend"] = "raise"
    """What is done with an event that may have been written. Sent again, it may be there twice."""

    def __post_init__(self) -> None:
        if self.lease < _SHORTEST_LEASE:
            raise OptionError(
                f"lease={self.lease:g} s: it takes {_SHORTEST_LEASE:g} s or more, because several "
                "answers of the server have to fit into it"
            )
        if self.timeout == 0:
            msgspec.structs.force_setattr(self, "timeout", default_timeout(self.lease))
        if self.timeout * 3 >= self.lease and not self.pubsub:
            raise OptionError(
                f"timeout={self.timeout:g}: it must be less than a third of the lease "
                f"({self.lease:g} s), so that a heartbeat that got lost can be tried again in time"
            )
        if self.retention is not None and self.max_length is not None:
            raise OptionError("retention= and max_length=: it takes one of them, not both")
        if self.on_full != "refuse" and self.max_length is None:
            raise OptionError(f"on_full={self.on_full}: it takes max_length= too")
        if self.topology == "sentinel" and not self.service:
            raise OptionError(
                "a Sentinel URL names the service: redis+sentinel://host,host/service/0"
            )
        if self.topology == "cluster" and self.database:
            raise OptionError("a cluster has database 0 only")
        if not self.nodes and self.path is None:
            raise OptionError("no server is named")

    @property
    def where(self) -> str:
        """The URL as it may be shown: no user, no password, no parameters."""
        scheme = "rediss" if self.tls else "redis"
        if self.path is not None:
            return f"unix://{self.path}?db={self.database}"
        nodes = ",".join(map(str, self.nodes))
        if self.topology == "sentinel":
            return f"{scheme}+sentinel://{nodes}/{self.service}/{self.database}"
        if self.topology == "cluster":
            return f"{scheme}+cluster://{nodes}"
        return f"{scheme}://{nodes}/{self.database}"

    def __repr__(self) -> str:
        return f"<Options {self.where}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("where", self.where)]


def default_timeout(lease: float) -> float:
    """What ``timeout`` is where it is not given."""
    return min(10.0, lease / 4)


OWN: Final[Mapping[str, Convert]] = {
    "allow_eviction": flag,
    "lease": duration,
    "max_length": whole(1),
    "on_full": choice("refuse", "drop_oldest"),
    "on_unknown": choice("raise", "resend"),
    "prefix": text,
    "retention": duration,
    "shards": whole(1),
    "timeout": duration,
    "wait": whole(0),
}
"""The adapter's own options, which a URL and ``RedisTransport`` take."""

PUBSUB: Final[Mapping[str, Convert]] = {
    "buffer": whole(1),
    "prefix": text,
    "timeout": duration,
}
"""Those that mean something where nothing is stored."""


def converted(given: Mapping[str, Any], *, pubsub: bool = False) -> dict[str, Any]:
    """The adapter's own options as ``Options`` has them. Raises OptionError."""
    known = PUBSUB if pubsub else OWN
    for name in given:
        if name not in known:
            raise OptionError(f"unknown option {name}=; known: {', '.join(known)}")
    return {name: known[name](name, value) for name, value in given.items()}
