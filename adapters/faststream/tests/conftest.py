"""The tests of this adapter run on asyncio: FastStream knows no other loop.

The servers are fixtures of every test, from `tests/servers/plugin.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .world import World

__all__ = ["anyio_backend", "world"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(tmp_path: Path, redis_url: str) -> Iterator[World]:
    made = World(tmp_path, redis_url)
    yield made
    made.close()
