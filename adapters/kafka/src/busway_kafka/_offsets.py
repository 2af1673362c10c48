"""Where partitions begin and end, and how far a group is in them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.offset import OffsetRequest

from busway import TransportError
from busway.transport import Start

from ._client import Client
from ._errors import Refused, checked

__all__ = ["EARLIEST", "LATEST", "committed", "moment_of", "offsets_at", "offsets_now"]

LATEST = -1
EARLIEST = -2
_ELSEWHERE = frozenset({14, 15, 16})
_NO_LEADER = 5
_UNLED = frozenset({3, 5, 6, 9, 74, 75, 76, 78})
Place = tuple[str, int]


def moment_of(start: Start) -> int:
    """Kafka's number for a start: milliseconds since 1970, or one of the two above."""
    if isinstance(start, datetime):
        return int(start.timestamp() * 1000)
    return LATEST if start == "latest" else EARLIEST


async def offsets_at(
    client: Client, places: Mapping[str, Sequence[int]], moment: int
) -> dict[Place, int]:
    """The first offset at a moment or after it; where there is none, the end.

    Raises TransportError, also for a partition without a leader for so long.
    """
    until, pause = time.monotonic() + client.timeout * 0.7, 0.02
    while True:
        try:
            return await offsets_now(client, places, moment)
        except Refused as error:
            # Of a topic that was just made, its leader may not have heard.
            if error.code not in _UNLED or time.monotonic() + pause > until:
                raise
        await asyncio.sleep(pause)
        pause = min(0.2, pause * 2)
        await client.refresh()


async def offsets_now(
    client: Client, places: Mapping[str, Sequence[int]], moment: int
) -> dict[Place, int]:
    """The same, where nobody waits for a leader."""
    by_node: dict[int, dict[str, list[tuple[int, int]]]] = {}
    for topic, numbers in places.items():
        for number in numbers:
            node = client.leader(topic, number)
            if node is None:
                await client.refresh()
                node = client.leader(topic, number)
            if node is None:
                raise Refused(_NO_LEADER, f"asking where partition {number} of {topic!r} begins")
            by_node.setdefault(node, {}).setdefault(topic, []).append((number, moment))
    found: dict[Place, int] = {}
    for node, topics in by_node.items():
        said = await client.ask(node, OffsetRequest(-1, 1, list(topics.items())))
        for topic, partitions in said.topics:
            for number, code, _, offset in partitions:
                checked(code, f"asking where {topic!r} begins")
                found[topic, number] = offset
    behind: dict[str, list[int]] = {}
    for (topic, number), offset in found.items():
        if offset < 0:
            behind.setdefault(topic, []).append(number)
    if behind and moment != LATEST:
        found.update(await offsets_now(client, behind, LATEST))
    return found


async def committed(
    client: Client, group: str, places: Mapping[str, Sequence[int]] | None = None
) -> dict[Place, tuple[int, str]]:
    """Offset and text of what a group has committed, of these partitions or of all.

    Raises TransportError.
    """
    asked = None if places is None else [(t, list(numbers)) for t, numbers in places.items()]
    until, pause = time.monotonic() + client.timeout, 0.02
    while True:
        node = await client.coordinator(group)
        try:
            said = await client.ask(node, OffsetFetchRequest(group, asked))
        except TransportError:
            client.moved(group)
            raise
        if said.error_code not in _ELSEWHERE or time.monotonic() + pause > until:
            break
        # A coordinator that has just become one reads first what it has to know.
        client.moved(group)
        await asyncio.sleep(pause)
        pause = min(0.3, pause * 2)
    checked(said.error_code, f"asking how far group {group!r} is")
    found: dict[Place, tuple[int, str]] = {}
    for topic, partitions in said.topics:
        for number, offset, text, code in partitions:
            checked(code, f"asking how far group {group!r} is")
            if offset >= 0:
                found[topic, number] = offset, text or ""
    return found
