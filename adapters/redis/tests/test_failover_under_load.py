"""What becomes of events while a cluster moves a channel, or a master dies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import anyio
import pytest

from busway import Bus, PublishError, PublishUnknown
from tests.servers import RedisCluster, RedisSentinel
from tests.servers.plugin import started_or_skip

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]

PATIENCE = 60.0
ENOUGH = 200


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    with started_or_skip(RedisCluster) as servers:
        yield servers


@pytest.fixture
def sentinel() -> Iterator[RedisSentinel]:
    with started_or_skip(RedisSentinel) as servers:
        yield servers


class Load:
    """One key, published and handled all the time."""

    def __init__(self, url: str) -> None:
        self.bus = Bus(url, service="shop", publish_timeout=5.0)
        self.handled: list[int] = []
        self.confirmed: list[int] = []
        self.failed: list[Exception] = []
        self.bus.add(self._handle, "order.*", group="billing")
        self._enough = False

    async def _handle(self, number: int) -> None:
        self.handled.append(number)

    async def _publish(self) -> None:
        number = 0
        while not self._enough:
            try:
                await self.bus.publish("order.placed", number, key="k")
            except (PublishError, PublishUnknown) as error:
                self.failed.append(error)
            else:
                self.confirmed.append(number)
            number += 1

    async def through(self, disturb: Callable[[], object]) -> None:
        """Publish before, while and after this happens; return when all that was confirmed is
        handled."""
        with anyio.fail_after(PATIENCE):
            async with self.bus:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._publish)
                    await self._confirmed(ENOUGH)
                    await anyio.to_thread.run_sync(disturb)
                    await self._confirmed(len(self.confirmed) + ENOUGH)
                    self._enough = True
                await self.bus.drain()

    async def _confirmed(self, count: int) -> None:
        while len(self.confirmed) < count:
            await anyio.sleep(0.01)

    def in_order(self) -> bool:
        first = list(dict.fromkeys(self.handled))
        return first == sorted(first)


@pytest.mark.parametrize("shards", [1, 4])
async def test_a_channel_that_moves_to_another_node_loses_nothing_and_keeps_its_order(
    cluster: RedisCluster, shards: int
) -> None:
    def move() -> None:
        masters = [s for s in cluster.servers if s.info("replication")["role"] == "master"]
        keys = [key for s in masters for key in s.command("KEYS", "moved:*order*")]  # type: ignore[attr-defined]
        for slot in {cluster.slot_of(key) for key in keys}:
            old = cluster.master_of(slot)
            to = next(each for each in masters if each is not old)
            cluster.begin_migration(slot, to)
            while cluster.move_keys(slot, to):
                pass
            cluster.end_migration(slot, to)

    load = Load(f"{cluster.url}?prefix=moved&shards={shards}&lease=3s")
    await load.through(move)
    assert load.in_order()


async def test_a_cluster_whose_master_dies_goes_on_with_its_replica(cluster: RedisCluster) -> None:
    """With ``wait=1``, what was confirmed the replica had."""
    slot = cluster.slot_of("killed:{order}")

    def kill() -> None:
        master = cluster.master_of(slot)
        master.kill()
        until = time.monotonic() + PATIENCE
        while cluster.master_of(slot) is master and time.monotonic() < until:
            time.sleep(0.05)
        master.start()  # as a replica of the other: alone, that could have nothing confirmed

    load = Load(f"{cluster.url}?prefix=killed&lease=3s&wait=1")
    await load.through(kill)


async def test_what_sentinels_promote_goes_on_where_the_master_died(
    sentinel: RedisSentinel,
) -> None:
    load = Load(f"{sentinel.url}?prefix=killed&lease=3s&wait=1")
    await load.through(lambda: sentinel.master.kill())
