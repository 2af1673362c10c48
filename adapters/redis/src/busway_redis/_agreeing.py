"""What all processes under one prefix have to agree on: the first that starts records it."""

from __future__ import annotations

from busway import OptionError

from ._keys import Keys
from ._topology import Topology

__all__ = ["agree_on_shards"]


async def agree_on_shards(topology: Topology, keys: Keys) -> None:
    """Raises OptionError when others have another number of shards, TransportError."""
    key = keys.config
    if await topology.call(key, "HSETNX", key, "shards", keys.shards):
        return
    said: bytes = await topology.call(key, "HGET", key, "shards") or b"%d" % keys.shards
    if int(said) != keys.shards:
        raise OptionError(
            f"shards={keys.shards} here, and shards={said.decode()} in the processes that started "
            f"before under the prefix {keys.prefix!r}: an event would be looked for in another "
            f"stream than it lies in. Give every process shards={said.decode()}. To change it, let "
            "every group handle what there is, stop all processes, and remove the record: "
            f"HDEL {keys.config} shards"
        )
