"""The optional powers of the transports that come with the core, looked for as the core does.

``python -m tests.capabilities`` prints the table of ``docs/semantics.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio

from busway.memory import MemoryTransport, NullTransport
from busway.testing import PartitionedLog
from busway.transport import (
    Announces,
    Browses,
    Charts,
    Discards,
    Extends,
    Follows,
    Group,
    HandsOver,
    Holds,
    Live,
    Located,
    ManagesGroups,
    Moves,
    Posts,
    Redelivers,
    Reports,
    Rewinds,
    TakesClock,
    Transport,
    Volatile,
)

__all__ = ["FEED_POWERS", "TRANSPORT_POWERS", "table"]

TRANSPORT_POWERS: tuple[Any, ...] = (
    Holds,
    Browses,
    Discards,
    Rewinds,
    ManagesGroups,
    Announces,
    Charts,
    Located,
    Reports,
    Volatile,
    Live,
    TakesClock,
    Posts,
)
FEED_POWERS: tuple[Any, ...] = (Redelivers, Moves, Extends, Follows, HandsOver)

TRANSPORTS: dict[str, Callable[[], Transport]] = {
    "`memory://`": MemoryTransport,
    "`memory://?lease=30`": lambda: MemoryTransport(lease=30.0),
    "`null://`": NullTransport,
    "`PartitionedLog`": PartitionedLog,
}


async def table() -> str:
    """A row for each power, a column for each transport, as Markdown."""
    columns = [await _column(make()) for make in TRANSPORTS.values()]
    rows = [
        f"| {power.__name__} | " + " | ".join("yes" if power in c else "" for c in columns) + " |"
        for power in (*TRANSPORT_POWERS, *FEED_POWERS)
    ]
    head = "| power | " + " | ".join(TRANSPORTS) + " |"
    return "\n".join([head, "|---" * (len(TRANSPORTS) + 1) + "|", *rows])


async def _column(transport: Transport) -> set[Any]:
    group = Group("capabilities", ("orders.*",), lambda topic: True)
    async with transport, transport.listen(group) as feed:
        powers = {power for power in TRANSPORT_POWERS if isinstance(transport, power)}
        return powers | {power for power in FEED_POWERS if isinstance(feed, power)}


if __name__ == "__main__":
    print(anyio.run(table))
