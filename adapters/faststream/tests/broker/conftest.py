"""The tests of BusBroker run on asyncio: FastStream knows no other loop."""

from __future__ import annotations

import pytest

__all__ = ["anyio_backend", "url"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(
    params=["memory://", "memory://?codec=json", "memory://?codec=msgpack"],
    ids=["objects", "bytes", "msgpack"],
)
def url(request: pytest.FixtureRequest) -> str:
    """Where events travel as they are, and where as they do over a wire, in both of its forms."""
    return str(request.param)
