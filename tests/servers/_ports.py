"""Free ports."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

from ._errors import ServerError

__all__ = ["BUS", "free_port", "free_ports"]

# A node of a cluster listens here, too: its port and this.
BUS = 10_000

# Below the ports that systems give to outgoing connections (32768 and up), both of them: a server
# that is killed finds its own port free when it starts again.
LOWEST, HIGHEST = 10_240, 22_000


def free_port() -> int:
    """A port that is free now, and so is the one of the cluster's bus above it.

    Another process may take it before the server does: starting says so, and a new server tries
    another one.
    """
    for _ in range(200):
        port = random.randint(LOWEST, HIGHEST)
        if is_free(port) and is_free(port + BUS):
            return port
    raise ServerError(f"no free port between {LOWEST} and {HIGHEST}")


def free_ports() -> Iterator[int]:
    """One after another, none of them twice."""
    given: set[int] = set()
    while True:
        port = free_port()
        if port not in given:
            given.add(port)
            yield port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
