"""The proxy, and the workers that are run in process beside it, are on asyncio."""

from __future__ import annotations

import pytest

__all__ = ["anyio_backend"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
