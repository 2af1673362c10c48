"""How long a shard is whose."""

from __future__ import annotations

import time
from typing import Any

import anyio
import pytest

from busway.transport import Group
from busway_redis._shard_scripts import READ
from tests.servers import RedisServer

from .test_feed import received, send
from .test_shards import GROUP, SHARDS, World

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 15.0
LEASE = 3.0


async def test_a_lease_is_renewed_as_long_as_its_owner_lives(redis_server: RedisServer) -> None:
    """It is the same one: who lost it and took it again would have a greater fence."""
    world = World(redis_server)
    leases = [world.transport().keys.lease("a", GROUP, shard) for shard in range(SHARDS)]
    async with world.bus("lives", lease=LEASE):
        await world.shared_by(SHARDS)
        before = [redis_server.command("GET", lease) for lease in leases]
        left = redis_server.command("PTTL", leases[0])
        assert isinstance(left, int)
        with anyio.fail_after(PATIENCE):
            while (now := redis_server.command("PTTL", leases[0])) <= left:  # type: ignore[operator]
                left = now
                await anyio.sleep(0.01)
        assert [redis_server.command("GET", lease) for lease in leases] == before


async def test_what_is_lent_of_a_shard_is_lost_before_its_lease_ends(
    own_redis: RedisServer,
) -> None:
    world = World(own_redis)
    group = Group(GROUP, ("**",), lambda topic: True, frozenset("a"), member="one")
    async with world.transport(lease=LEASE) as transport, transport.listen(group) as feed:
        await send(transport, 1)
        (delivery,) = await received(feed, 1)
        assert delivery.loan is not None
        assert delivery.loan.until is not None
        assert delivery.loan.until < time.monotonic() + LEASE
        own_redis.pause()
        try:
            with anyio.fail_after(PATIENCE):
                while not delivery.lost:
                    await anyio.sleep(0.01)
        finally:
            own_redis.resume()


async def test_a_read_under_a_lease_that_was_lost_takes_nothing(redis_server: RedisServer) -> None:
    """However late it is carried out: the server looks in the same step."""
    async with World(redis_server).transport() as transport:
        topology: Any = transport._topology
        stream, lease = transport.keys.stream("a", 0), transport.keys.lease("a", GROUP, 0)
        await transport.call(stream, "XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
        await transport.call(stream, "XADD", stream, "*", "event", "{}")
        read = (READ, [stream, lease], (GROUP, "one", 10, 1, 1, "1 whole one"))
        await transport.call(lease, "SET", lease, "2 whole another")
        assert await topology.script(*read) is None
        assert (await transport.call(stream, "XPENDING", stream, GROUP))[0] == 0
        await transport.call(lease, "SET", lease, "1 whole one")
        ((_, entries),) = await topology.script(*read)
        assert len(entries) == 1
