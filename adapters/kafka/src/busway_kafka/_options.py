"""Where Kafka is, and what the adapter shall do with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from busway import OptionError
from busway.transport.options import Convert, choice, duration, text, whole

from ._foreign import Decoder
from ._names import Names
from ._security import PROTOCOLS, Security

__all__ = ["COMPRESSIONS", "OWN", "Options", "converted", "default_timeout"]

COMPRESSIONS: Final = ("none", "gzip", "snappy", "lz4", "zstd")
_SHORTEST_LEASE: Final = 0.1


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be said in a URL, and the decoder. No way to show it shows a password."""

    servers: tuple[str, ...] = ("localhost:9092",)
    """Some of the brokers, host and port: the others are heard of from those."""
    security: Security = msgspec.field(default_factory=Security)
    client: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    """What the client is made with beside this."""

    decoder: Decoder | None = None
    """Makes events of what other programs wrote that is no CloudEvent; None: that is set aside."""

    prefix: str = "busway."
    """What every topic and group begins with."""
    follow: str | None = None
    """A regular expression: wildcards see only the topics that it matches as a whole. Without a
    prefix they see none but for it."""
    mode: Literal["structured", "binary"] = "structured"
    """Whether an event is written as one document, or its attributes as headers. Both are read."""
    compression: Literal["gzip", "snappy", "lz4", "zstd"] | None = None
    """How what is written is compressed. All are read."""
    max_size: int = 1_000_000
    """Bytes in one batch of records, the most that is sent in one piece: no more than the topics'
    ``max.message.bytes``."""

    create: Literal["auto", "never"] = "auto"
    """Whether topics that are missing are created, or an error says what has to be."""
    partitions: int = 4
    """Of a topic that is created. Each has one reader in a group."""
    replication: int | None = None
    """Of a topic that is created; None: as the broker does."""
    retention: float | None = None
    """Seconds for which the events of a topic that is created are kept, handled or not; None: as
    the broker does. Retries, what is due later and dead letters are kept until they are handled."""

    lease: float = 30.0
    """Seconds after which the partitions of a process that says nothing are given to others."""
    timeout: float = 0.0
    """Seconds after which an answer counts as lost. 0 becomes 10 s, or a quarter of the lease where
    that is less; it must be less than a third of the lease."""
    drain: float = 10.0
    """Seconds that handlers have to finish when a partition goes to another process."""
    metadata_age: float = 5.0
    """Seconds after which it is asked whether there are new topics and partitions."""
    window: int = 10_000
    """Records of one partition that may be handled or finished while an earlier one is not."""
    instance: str | None = None
    """A name that this process has again when it was restarted: its partitions wait for it as long
    as the lease lasts."""

    def __post_init__(self) -> None:
        if self.lease < _SHORTEST_LEASE:
            raise OptionError(
                f"lease={self.lease:g} s: it takes {_SHORTEST_LEASE:g} s or more, because several "
                "answers of the broker have to fit into it"
            )
        if self.timeout == 0:
            msgspec.structs.force_setattr(self, "timeout", default_timeout(self.lease))
        if self.timeout * 3 >= self.lease:
            raise OptionError(
                f"timeout={self.timeout:g}: it must be less than a third of the lease "
                f"({self.lease:g} s), so that a heartbeat that got lost can be tried again in time"
            )
        if not self.servers:
            raise OptionError("no server is named")
        if self.decoder is not None and not callable(self.decoder):
            raise OptionError(f"decoder={self.decoder!r}: it takes a function of a Foreign record")
        Names(self.prefix, self.follow)

    @property
    def where(self) -> str:
        """The URL as it may be shown: no user, no password, no parameters."""
        scheme = next(
            name for name, protocol in PROTOCOLS.items() if protocol == self.security.protocol
        )
        return f"{scheme}://{','.join(self.servers)}"

    def client_options(self) -> dict[str, Any]:
        """What an ``AIOKafkaClient`` is made with, secrets included. Raises OptionError."""
        return {
            **self.client,
            **self.security.client_options(),
            "bootstrap_servers": list(self.servers),
            "request_timeout_ms": max(1, round(self.timeout * 1000)),
            "metadata_max_age_ms": max(1, round(self.metadata_age * 1000)),
        }

    def __repr__(self) -> str:
        return f"<Options {self.where}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("where", self.where)]


def default_timeout(lease: float) -> float:
    """What ``timeout`` is where it is not given."""
    return min(10.0, lease / 4)


def _prefix(name: str, given: Any) -> str:
    if not isinstance(given, str):
        raise OptionError(f"{name}={given!r}: it takes a text, which may be empty")
    return given


def _compression(name: str, given: Any) -> str | None:
    chosen = choice(*COMPRESSIONS)(name, "none" if given is None else given)
    return None if chosen == "none" else chosen


OWN: Final[Mapping[str, Convert]] = {
    "compression": _compression,
    "create": choice("auto", "never"),
    "drain": duration,
    "follow": text,
    "instance": text,
    "lease": duration,
    "max_size": whole(1_000),
    "metadata_age": duration,
    "mode": choice("structured", "binary"),
    "partitions": whole(1),
    "prefix": _prefix,
    "replication": whole(1),
    "retention": duration,
    "timeout": duration,
    "window": whole(1),
}
"""The adapter's own options, which a URL and ``KafkaTransport`` take."""


def converted(given: Mapping[str, Any]) -> dict[str, Any]:
    """The adapter's own options as ``Options`` has them. Raises OptionError."""
    for name in given:
        if name not in OWN:
            raise OptionError(f"unknown option {name}=; known: {', '.join(OWN)}")
    return {name: OWN[name](name, value) for name, value in given.items()}
