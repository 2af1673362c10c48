"""The tests of this adapter run on asyncio: its client knows no other loop.

The servers are fixtures of every test, from `tests/servers/plugin.py`.
"""

from __future__ import annotations

import pytest

__all__ = ["anyio_backend"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
