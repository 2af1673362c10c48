"""What all processes under one prefix have to agree on: the first that starts records it."""

from __future__ import annotations

from collections.abc import Mapping

from busway import OptionError

from ._keys import Keys
from ._scripts import Script
from ._topology import Topology

__all__ = ["agree_on_shards", "chart"]

_PATTERN = "channel:"
_CHART = Script(
    """
-- KEYS: config. ARGV: name and value in turn. Records all of them, or none when one has another
-- value: then returns its name and that. Else returns all that is recorded.
for i = 1, #ARGV, 2 do
  local said = redis.call('HGET', KEYS[1], ARGV[i])
  if said and said ~= ARGV[i + 1] then return {ARGV[i], said} end
end
redis.call('HDEL', KEYS[1], '')  -- the first write is one that a full server allows
for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return redis.call('HGETALL', KEYS[1])
"""
)


async def agree_on_shards(topology: Topology, keys: Keys) -> None:
    """Raises OptionError when others have another number of shards, TransportError."""
    key = keys.config
    said: bytes | None = await topology.call(key, "HGET", key, "shards")
    if said is None:  # asked first: a full server takes no record, and is to be drained
        if await topology.call(key, "HSETNX", key, "shards", keys.shards):
            return
        said = await topology.call(key, "HGET", key, "shards")
    theirs = keys.shards if said is None else int(said)
    if theirs != keys.shards:
        raise OptionError(
            f"shards={keys.shards} here, and shards={theirs} in the processes that started "
            f"before under the prefix {keys.prefix!r}: an event would be looked for in another "
            f"stream than it lies in. Give every process shards={theirs}. To change it, let "
            "every group handle what there is, stop all processes, and remove the record: "
            f"HDEL {keys.config} shards"
        )


async def chart(topology: Topology, keys: Keys, channels: Mapping[str, str]) -> dict[str, str]:
    """Record channels by pattern; all that are recorded. Raises OptionError when others have
    another channel for one of the patterns, TransportError."""
    args = [each for pattern, channel in channels.items() for each in (_PATTERN + pattern, channel)]
    told: list[bytes] = await topology.script(_CHART, [keys.config], args)
    said = dict(zip(told[::2], told[1::2], strict=True))
    recorded = {
        name.decode().removeprefix(_PATTERN): channel.decode()
        for name, channel in said.items()
        if name.decode().startswith(_PATTERN)
    }
    for pattern, channel in channels.items():
        there = recorded.get(pattern, channel)
        if there != channel:
            raise OptionError(
                f"channels={{{pattern!r}: {channel!r}}} here, and {there!r} in the processes that "
                f"started before under the prefix {keys.prefix!r}: one would publish where the "
                "other does not listen. Give every process the same. To change it, let every group "
                "handle what there is, stop all processes, and remove the record: "
                f"HDEL {keys.config} '{_PATTERN}{pattern}'"
            )
    return recorded
