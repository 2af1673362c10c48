"""Moving a group's place in the streams of events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from busway.transport import Start

from ._joining import first_id
from ._scripts import Script
from ._topology import Topology

__all__ = ["rewind"]

_SIDE_BY_SIDE = 20

_REWIND = Script(
    """
-- KEYS: stream. ARGV: group, the id after which it reads. Made anew: what was pending would come
-- beside what is handed out again. In one step: who joins a stream without its group begins it
-- where a new group begins.
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
end
return redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], ARGV[2], 'MKSTREAM')
"""
)


async def rewind(topology: Topology, streams: Sequence[str], group: str, to: Start) -> None:
    """Each of them in one step, and where it is done already, done again: whatever breaks on the
    way, it may be called anew."""
    place = first_id(to)
    for first in range(0, len(streams), _SIDE_BY_SIDE):
        some = streams[first : first + _SIDE_BY_SIDE]
        await asyncio.gather(*(topology.script(_REWIND, [key], (group, place)) for key in some))
