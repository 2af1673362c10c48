"""What a transport still keeps of the events that a stream is of."""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import aclosing
from typing import TypeAlias, cast

from ..message import Envelope
from ..transport import Browsed, Browses, Purpose

__all__ = ["recall"]

_Lane: TypeAlias = tuple[int, str | int]
"""An address and a key, or an event without one: only those of one key lie in an order."""
_Read: TypeAlias = tuple[float, int, _Lane, Envelope]
"""An event with its time in the order, its number, and its lane."""


async def recall(
    transport: Browses,
    channels: Collection[str] | None,
    wants: Callable[[str], bool],
    bound: int,
    came: Callable[[str], bool] = lambda _: False,
) -> list[Envelope]:
    """The newest ``bound`` kept events whose topics are wanted, in the order of time: where a
    channel lies in several partitions, which are read one after another, they have no other order
    in common. An event has the latest time of those of its key before it, if that is later than its
    own: one that says that it happened long ago, or that was held back, stays behind them.

    What ``came`` knows, and what follows that of its key, is left out: it is no older than what
    the process receives.

    Raises TransportError.
    """
    newest: list[_Read] = []
    number = 0  # events of one time stay as they were read
    reached: set[_Lane] = set()
    marks: dict[_Lane, float] = {}
    for which, address in enumerate(await transport.addresses(Purpose.EVENT, None)):
        if channels is not None and address.channel not in channels:
            continue
        async with _ending(transport.browse(address)) as entries:
            async for entry in entries:
                content = entry.content
                if isinstance(content, Envelope) and wants(content.type):
                    number += 1
                    lane = (which, number if content.key is None else content.key)
                    mark = marks[lane] = max(content.timestamp, marks.get(lane, 0.0))
                    heapq.heappush(newest, (mark, number, lane, content))
                    if len(newest) > bound:
                        *_, lane, oldest = heapq.heappop(newest)
                        if came(oldest.id):
                            reached.add(lane)
    return _older(sorted(newest), came, reached)


def _older(read: list[_Read], came: Callable[[str], bool], reached: set[_Lane]) -> list[Envelope]:
    """What lies before what came, of each key. Looked at when all is read, because events have
    come meanwhile."""
    kept: list[Envelope] = []
    for _, _, lane, envelope in read:
        if came(envelope.id):
            reached.add(lane)
        elif lane not in reached:
            kept.append(envelope)
    return kept


def _ending(entries: AsyncIterator[Browsed]) -> aclosing[AsyncGenerator[Browsed]]:
    """Closed when it is left half-way: what it holds of the broker goes back at once."""
    return aclosing(cast("AsyncGenerator[Browsed]", entries))
