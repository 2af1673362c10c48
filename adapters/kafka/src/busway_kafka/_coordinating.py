"""Asking the broker that looks after a group, whichever it is now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from aiokafka.protocol.admin import DescribeGroupsRequest

from busway import TransportError

from ._client import Client
from ._errors import checked

__all__ = ["Described", "ask_coordinator", "described", "metadata_of"]

# It is another one, or has not read yet what it has to know.
_ELSEWHERE: Final = frozenset({14, 15, 16})
_PAUSE: Final = 0.05
_NEARLY: Final = 0.8
"""Of a deadline: whoever waits for all of it shall hear why."""
_SETTLED: Final = frozenset({"Stable", "Empty", "Dead"})


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
    _, protocol, members = await _described(client, kafka_id)
    return Described(protocol, len(members))


async def metadata_of(client: Client, kafka_id: str) -> list[bytes | None]:
    """What each member of a group said of itself when it joined.

    While somebody joins, the broker tells of none of them what it said: that is waited for. Raises
    TransportError when it takes too long.
    """
    until = time.monotonic() + client.timeout * _NEARLY
    while True:
        state, _, members = await _described(client, kafka_id)
        if state in _SETTLED:
            return [each[3] for each in members]
        if time.monotonic() >= until:
            raise TransportError(
                f"group {kafka_id!r} is being dealt out, so Kafka does not tell who handles what"
            )
        await asyncio.sleep(_PAUSE)


async def _described(client: Client, kafka_id: str) -> tuple[str, str, list[Any]]:
    """State, protocol and members."""
    # One at a time: aiokafka reads the answer for several wrongly where the broker is new.
    said = await ask_coordinator(
        client, kafka_id, DescribeGroupsRequest([kafka_id]), lambda s: (s.groups[0][0],)
    )
    ((code, _, state, _, protocol, members, *_),) = said.groups
    checked(code, f"asking for the members of group {kafka_id!r}")
    return state, protocol, members
