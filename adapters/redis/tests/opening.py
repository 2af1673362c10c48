"""A topology by itself, without a transport around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from busway_redis._client import options_of
from busway_redis._topology import Topology, topology_of

__all__ = ["opened"]


@asynccontextmanager
async def opened(given: Any, **own: Any) -> AsyncIterator[Topology]:
    topology = topology_of(options_of(given, **own))
    await topology.open()
    try:
        yield topology
    finally:
        await topology.close()
