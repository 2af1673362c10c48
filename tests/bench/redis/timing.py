"""The server of the Redis case."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.servers import RedisServer

__all__ = ["bench_server", "emptied", "emptying"]

REWRITTEN = 256_000_000


def bench_server() -> RedisServer:
    """With its append-only file written every second, which is rewritten between runs only."""
    return RedisServer(config=["auto-aof-rewrite-percentage 0"])


def emptied(server: RedisServer) -> str:
    """The URL of the server, in which there is nothing."""
    server.command("FLUSHALL", "SYNC")
    if int(server.info("persistence")["aof_current_size"]) > REWRITTEN:
        server.command("BGREWRITEAOF")
        while server.info("persistence")["aof_rewrite_in_progress"] == "1":
            time.sleep(0.02)
    return server.url


def emptying(server: RedisServer) -> Callable[[], str]:
    return lambda: emptied(server)
