"""Reading a partition from one offset to another, without a group and without effect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from aiokafka.errors import KafkaError
from aiokafka.protocol.fetch import FetchRequest

from busway import TransportError

from ._client import Client
from ._errors import Refused
from ._fetching import records_in
from ._offsets import EARLIEST, LATEST, offsets_at, offsets_now

__all__ = ["LANE", "Place", "begins_of", "ends_of", "pages", "places_at", "read_to_the_end"]

Place = tuple[str, int]
"""A topic and the number of a partition."""

LANE: Final = "browse"
_BYTES: Final = 1_048_576
_WAIT_MS: Final = 100
_READ_COMMITTED: Final = 1
_OUT_OF_RANGE: Final = 1
# Asked of a broker that does not lead the partition now, or of one that is just beginning.
_ELSEWHERE: Final = frozenset({3, 5, 6, 9, 74, 75, 76, 78})
_PAUSE: Final = 0.05
_TO_WAIT: Final = 0.7
"""Of the time that all may take: whoever has to wait for a leader for longer is told which."""


async def ends_of(client: Client, topics: Iterable[str]) -> dict[Place, int]:
    """Where what may be read ends now, in every partition of topics that are there."""
    return await places_at(client, topics, LATEST)


async def begins_of(client: Client, topics: Iterable[str]) -> dict[Place, int]:
    """Where what is kept begins now, in the same."""
    return await places_at(client, topics, EARLIEST)


async def places_at(client: Client, topics: Iterable[str], moment: int) -> dict[Place, int]:
    """The first offset at a moment or after it, in every partition of topics that are there."""
    wanted = list(topics)
    until = time.monotonic() + client.timeout * _TO_WAIT
    while True:
        widths = {topic: client.partitions(topic) for topic in wanted}
        places = {topic: list(range(width)) for topic, width in widths.items() if width}
        try:
            return await offsets_now(client, places, moment)
        except Refused as error:
            # Of a topic that was just made, its leader may not have heard.
            if error.code not in _ELSEWHERE:
                raise
            await _look_again(client, str(error), until)


async def pages(
    client: Client, place: Place, first: int, end: int, *, most: int = _BYTES
) -> AsyncIterator[list[Any]]:
    """The records from one offset up to another, which is not read any more, as they come; each
    time no more bytes than ``most``, and one batch at least.

    Raises TransportError when none comes within the deadline.
    """
    until = time.monotonic() + client.timeout
    while first < end:
        records, after = await _page(client, place, first, until, most)
        if after > first:
            first = after
            if some := [record for record in records if record.offset < end]:
                yield some
            until = time.monotonic() + client.timeout
        elif time.monotonic() >= until:
            raise TransportError(f"{place[0]}[{place[1]}]: nothing came of offset {first} in time")


async def read_to_the_end(client: Client, place: Place, first: int = 0) -> tuple[list[Any], int]:
    """All records from an offset on, and the offset behind them."""
    ends = await ends_of(client, [place[0]])
    end = ends.get(place, 0)
    return [each async for page in pages(client, place, first, end) for each in page], end


async def _page(
    client: Client, place: Place, first: int, until: float, most: int
) -> tuple[list[Any], int]:
    """Some records and the offset behind them; none and the same offset: try again."""
    topic, number = place
    node = client.leader(topic, number)
    if node is None:
        await _look_again(client, f"{topic}[{number}] has no leader now", until)
        return [], first
    request = FetchRequest(_WAIT_MS, 1, _BYTES, _READ_COMMITTED, [(topic, [(number, first, most)])])
    said = await client.ask(node, request, lane=LANE)
    if not said.topics:  # for a quota's sake, and on this connection nothing is read until then
        await _held_back(said.throttle_time_ms / 1000, until)
        return [], first
    ((_, ((_, code, _, _, _, aborted, *_, data),)),) = said.topics
    if code == _OUT_OF_RANGE:  # what was there was removed while we looked
        begin = (await offsets_at(client, {topic: [number]}, EARLIEST))[place]
        if begin <= first:
            raise TransportError(f"{topic}[{number}]: there is no offset {first} any more")
        return [], begin
    if code in _ELSEWHERE:
        await _look_again(client, f"{topic}[{number}] is led by somebody else", until)
        return [], first
    if code:
        raise Refused(code, f"reading {topic!r}")
    try:
        return records_in(data, first, aborted or ()) if data else ([], first)
    except KafkaError as error:
        raise TransportError(f"{topic}[{number}] cannot be read: {error}") from error


async def _look_again(client: Client, why: str, until: float) -> None:
    if time.monotonic() >= until:
        raise TransportError(why)
    await asyncio.sleep(_PAUSE)
    await client.refresh()


async def _held_back(seconds: float, until: float) -> None:
    if time.monotonic() + seconds > until:
        raise TransportError(f"a quota of Kafka holds this client back, {seconds:.1f} s more")
    await asyncio.sleep(max(_PAUSE, seconds))
