"""The mark by which this place is told from any other, whatever the URL it was reached by."""

from __future__ import annotations

import secrets
from typing import Final

from ._keys import Keys
from ._topology import Topology

__all__ = ["place_of"]

_FIELD: Final = "place"


async def place_of(topology: Topology, keys: Keys) -> str:
    """Made by the first who asks, and kept with the events: the same for all, until somebody
    deletes it. Raises TransportError."""
    await topology.call(keys.config, "HSETNX", keys.config, _FIELD, secrets.token_hex(8))
    mark: bytes = await topology.call(keys.config, "HGET", keys.config, _FIELD)
    return f"redis:{mark.decode()}"
