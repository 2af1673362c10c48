"""Where ``dedupe`` remembers, for all processes that share a Redis."""

from __future__ import annotations

import math
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final, Self
from urllib.parse import quote

import anyio

from busway import OptionError
from busway.middleware import DONE, NEW, Busy, Claim, DedupeKey

from ._client import Given, options_of
from ._scripts import Script
from ._topology import Topology, topology_of

__all__ = ["RedisDedupe"]

_LONGEST: Final = 200

_CLAIM = Script("""
-- KEYS: the event. ARGV: owner, lease in ms.
-- Nothing: it is the caller's. 'd': it was handled. Else how many ms somebody's claim still lasts.
local held = redis.call('GET', KEYS[1])
if not held then
  redis.call('SET', KEYS[1], 'c' .. ARGV[1], 'PX', ARGV[2])
  return false
end
if held == 'd' then
  return held
end
return redis.call('PTTL', KEYS[1])
""")

_RELEASE = Script("""
-- KEYS: the event. ARGV: owner.
if redis.call('GET', KEYS[1]) == 'c' .. ARGV[1] then
  redis.call('DEL', KEYS[1])
end
""")


class RedisDedupe:
    """A ``DedupeStore`` in Redis, for all processes and services that share its groups.

    ```text
    bus.subscribe("order.*", group="billing", dedupe=RedisDedupe("redis://localhost"))
    ```

    One key for each event and group, ``<prefix>:dedupe:<group>:<event>``, which Redis itself
    forgets: a claim when its lease is over, a handled event after ``ttl``. Both are measured by the
    server's clock alone. ``ttl`` is longer than the longest time after which an event can come
    again, retries and replays of dead letters included; a memory of seven days is the default.

    ``given`` and ``own`` are those of ``RedisTransport``; of the adapter's own options ``prefix``
    and ``timeout`` count here. It connects with its first call, and again whenever it has to;
    ``aclose`` hangs up, as does leaving ``async with``. Each call raises ``TransportError`` when
    the server cannot be had or does not answer within ``timeout`` seconds.

    A server that loses its last writes (no AOF, a failover) forgets what was handled in them, and
    so does one that throws keys away when it is full: such an event can be handled a second time.

    Raises OptionError. Cost: one round trip for each claim and one for its end, shared by all
    that are made in one turn of the event loop; one small key for each event that is remembered.
    """

    def __init__(
        self, given: Given, /, *, ttl: float | timedelta = timedelta(days=7), **own: Any
    ) -> None:
        self._options = options_of(given, **own)
        self._ttl = _milliseconds("ttl", ttl)
        self._topology: Topology | None = None
        self._opening = anyio.Lock()

    def __repr__(self) -> str:
        return f"<RedisDedupe {self._options.where}>"

    async def __aenter__(self) -> Self:
        await self._connected()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Hang up. Raises nothing; twice is harmless, and the next call connects again."""
        topology, self._topology = self._topology, None
        if topology is not None:
            await topology.close()

    async def claim(self, key: DedupeKey, owner: str, lease: float, /) -> Claim:
        """See ``DedupeStore``."""
        name, length = self._name(key), _milliseconds("lease", lease)
        topology = await self._connected()
        held = await topology.script(_CLAIM, [name], [owner, length])
        if held is None:
            return NEW
        return DONE if held == b"d" else Busy(max(0, held) / 1000)

    async def done(self, key: DedupeKey, owner: str, ttl: float | None, /) -> None:
        """See ``DedupeStore``."""
        name, length = self._name(key), self._ttl if ttl is None else _milliseconds("ttl", ttl)
        topology = await self._connected()
        await topology.call(name, "SET", name, "d", "PX", length)

    async def release(self, key: DedupeKey, owner: str, /) -> None:
        """See ``DedupeStore``."""
        name = self._name(key)
        topology = await self._connected()
        await topology.script(_RELEASE, [name], [owner])

    def _name(self, key: DedupeKey) -> str:
        group, event = key
        if len(event) > _LONGEST:
            event = f"sha256-{sha256(event.encode()).hexdigest()}"
        # A colon in the group's name must not move the border between the two.
        return f"{self._options.prefix}:dedupe:{quote(group, safe='')}:{event}"

    async def _connected(self) -> Topology:
        if self._topology is not None:
            return self._topology
        async with self._opening:
            if self._topology is None:
                topology = topology_of(self._options)
                await topology.open()
                self._topology = topology
            return self._topology


def _milliseconds(name: str, given: float | timedelta) -> int:
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    if not (seconds > 0 and math.isfinite(seconds)):
        raise OptionError(f"{name}={given!r}: it takes more than 0 seconds")
    return math.ceil(seconds * 1000)
