"""One Kafka: a broker that is its own controller."""

from __future__ import annotations

import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ._errors import ServerError
from ._jars import runtime
from ._kafka_protocol import View, ask_coordinator, look
from ._kafka_settings import settings
from ._ports import free_ports
from ._process import Process
from ._running import Running, contained, launch
from ._until import until

__all__ = ["KafkaServer", "Way", "random_id"]

_STORAGE = "kafka.tools.StorageTool"


class Way(NamedTuple):
    """A listener that tells its clients another address than its own, which is that of a proxy."""

    inner: int
    """The port it listens on."""
    outer: int
    """The port that it tells. Nothing listens there."""


class KafkaServer(Process):
    """A Kafka (KRaft) with nothing in it.

    Topics are made by whoever needs them. ``config`` counts before our settings. ``ways`` is how
    many listeners there are for clients that come through a proxy.
    """

    number = 1
    """Of the broker in its cluster."""
    nodes = 1
    """How many brokers the cluster has."""
    flags: Sequence[str] = ()
    """More flags of Java's."""

    def __init__(
        self,
        *,
        config: Mapping[str, str] | None = None,
        ways: int = 0,
        patience: float = 60.0,
    ) -> None:
        runtime()
        super().__init__(patience=patience)
        self.cluster = random_id()
        self.voters: Mapping[int, int] = {}
        """The ports of the controllers, by the numbers of their nodes."""
        self.ways: list[Way] = []
        self._count = ways
        self._config = dict(config or {})

    @property
    def servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"kafka://{self.servers}/"

    def outside(self, way: int) -> str:
        """What a client's URL says that comes through a proxy."""
        return f"127.0.0.1:{self.ways[way].outer}"

    def look(self) -> View:
        """What it knows of its cluster. Raises OSError."""
        return look(self.port)

    def coordinator(self, group: str) -> int:
        """The number of the broker that looks after a group, which is nobody's before its turn."""
        found: list[int] = []

        def found_one() -> bool:
            node = ask_coordinator(self.port, group)
            found.extend([] if node is None else [node])
            return node is not None

        until(found_one, f"a coordinator of {group!r}", self.patience, log=lambda: self.log)
        return found[0]

    def configuration(self) -> dict[str, str]:
        """The settings."""
        listeners = {"PLAINTEXT": (self.port, self.port)}
        listeners |= {f"WAY{n}": (way.inner, way.outer) for n, way in enumerate(self.ways)}
        return {
            **settings(self.number, self.nodes, self.voters, listeners),
            "log.dirs": str(self.folder / "data"),
            **self._config,
        }

    def tool(self, name: str, *arguments: str) -> str:
        """Run one of Kafka's own tools, by the name of its class; what it printed."""
        java = runtime()
        command = [*java.command, name, *arguments]
        if java.image is not None:
            command = contained(self.folder, command, java.image)
        done = subprocess.run(
            command,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=self.patience,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            raise ServerError(f"{name} failed: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def format_options(self) -> list[str]:
        """What its folder is formatted with, beside the settings."""
        return []

    def settle(self, ports: Iterator[int], voters: Mapping[int, int]) -> None:
        """Have it listen there."""
        self.port, self.voters = next(ports), voters
        self.ways = [Way(next(ports), next(ports)) for _ in range(self._count)]
        lines = (f"{name}={value}\n" for name, value in self.configuration().items())
        self._file.write_text("".join(lines))

    def _settle(self) -> None:
        ports = free_ports()
        self.settle(ports, {self.number: next(ports)})

    @property
    def _file(self) -> Path:
        return self.folder / "server.properties"

    def _launch(self) -> Running:
        file = str(self._file)
        if not (self.folder / "data").exists():
            options = ["-t", self.cluster, "-c", file, *self.format_options()]
            self.tool(_STORAGE, "format", *options)
        java = runtime(*self.flags)
        return launch(self.folder, [*java.command, "kafka.Kafka", file], image=java.image)

    def _answers(self, ready: bool) -> bool:
        seen = look(self.port, timeout=1.0)
        return seen.cluster == self.cluster and (not ready or self.number in seen.brokers)


def random_id() -> str:
    """As Kafka gives one: never with a dash first, which its tools take for an option."""
    while True:
        made = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        if not made.startswith("-"):
            return made
