"""Asking the broker that looks after a group, whichever it is now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from aiokafka.protocol.admin import DescribeGroupsRequest

from ._client import Client
from ._errors import checked

__all__ = ["Described", "ask_coordinator", "described"]

# It is another one, or has not read yet what it has to know.
_ELSEWHERE: Final = frozenset({14, 15, 16})
_PAUSE: Final = 0.05


class Described(NamedTuple):
    """What a coordinator says of a group."""

    protocol: str
    members: int


async def ask_coordinator(
    client: Client, kafka_id: str, request: Any, codes: Callable[[Any], Iterable[int]]
) -> Any:
    """The answer; ``codes`` says which errors stand in it. Raises TransportError."""
    until = time.monotonic() + client.timeout
    while True:
        said = await client.ask(await client.coordinator(kafka_id), request)
        moved = next((code for code in codes(said) if code in _ELSEWHERE), 0)
        if not moved:
            return said
        client.moved(kafka_id)
        if time.monotonic() >= until:
            checked(moved, f"asking the coordinator of group {kafka_id!r}")
        await asyncio.sleep(_PAUSE)


async def described(client: Client, kafka_id: str) -> Described:
    """Raises TransportError. A group that is not there has no members."""
    # One at a time: aiokafka reads the answer for several wrongly where the broker is new.
    said = await ask_coordinator(
        client, kafka_id, DescribeGroupsRequest([kafka_id]), lambda s: (s.groups[0][0],)
    )
    ((code, _, _, _, protocol, members, *_),) = said.groups
    checked(code, f"asking for the members of group {kafka_id!r}")
    return Described(protocol, len(members))
