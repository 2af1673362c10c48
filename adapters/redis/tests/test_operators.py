"""What an operator does to a server or a cluster that is in use."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest

from busway import Bus, PublishError, PublishUnknown
from busway_redis import open_redis
from tests.facts import PATIENCE
from tests.servers import RedisCluster, RedisServer
from tests.servers.plugin import started_or_skip

from .test_broken_worlds import BLUE, GROUP, RED, full, server, world

__all__ = ["server"]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    with started_or_skip(RedisCluster) as servers:
        yield servers


async def test_a_password_that_is_changed_is_told_and_when_it_fits_again_the_bus_goes_on(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(server, caplog) as here:
        await here.handled("r0")
        await here.command("ACL", "SETUSER", "app", "resetpass", ">another")
        await here.command("CLIENT", "KILL", "USER", "app")
        with anyio.fail_after(PATIENCE):
            while True:
                try:
                    await here.bus.publish("red.more", "r1")
                except (PublishError, PublishUnknown) as error:
                    told = str(error)
                    if "WRONGPASS" in told:
                        break
        assert "secret" not in told
        assert "another" not in told
        assert "percent-encoded" in told, "it says what to do"
        await here.command("ACL", "SETUSER", "app", "resetpass", ">secret")
        await here.published("red.more", "r2")
        await here.handled("r2")
    assert "secret" not in caplog.text


async def test_a_consumer_that_is_deleted_loses_what_it_held_and_nothing_after_it(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """``XGROUP DELCONSUMER`` forgets what is pending, whoever handles it: what runs is handled."""
    async with world(server, caplog) as here:
        await here.handled("r0")
        await here.bus.drain()
        here.hold.clear()
        await here.bus.publish("red.more", "r1")
        with anyio.fail_after(PATIENCE):
            while not (pending := await here.command("XPENDING", RED, GROUP, "-", "+", 1)):
                await anyio.sleep(0.01)
        await here.command("XGROUP", "DELCONSUMER", RED, GROUP, pending[0][1])
        here.hold.set()
        await here.handled("r1")
        await here.published("red.more", "r2")
        await here.handled("r2")
        await here.bus.drain()
        assert sorted(here.seen) == ["b0", "r0", "r1", "r2"], "each once"


async def test_rewinding_leaves_no_stream_without_its_group_on_a_full_server_too(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It refuses to make a group, and not to destroy one: in two steps, nobody would have it."""
    async with world(server, caplog) as here:
        await here.bus.drain()
    async with open_redis(server.url) as transport:
        with full(server):
            await transport.rewind(GROUP, "latest")
        for stream in (RED, BLUE):
            assert await here.command("XINFO", "GROUPS", stream), "it would begin anew"
    async with here.bus:
        await here.published("red.more", "r1")
        await here.handled("r1")
        assert here.seen.count("r0") == 1


async def test_a_cluster_that_is_down_refuses_cleanly_and_serves_again(
    cluster: RedisCluster,
) -> None:
    """A slot without a master takes the whole cluster down, where full coverage is required."""
    seen: list[int] = []
    bus = Bus(f"{cluster.url}?lease=3s", service="shop", publish_timeout=2.0)

    @bus.subscribe("order.*", group="billing")
    async def handle(number: int) -> None:
        seen.append(number)

    ours = cluster.master_of(cluster.slot_of("busway:{order}"))
    other = next(
        each
        for each in (cluster.master_of(slot) for slot in range(0, 16384, 100))
        if each is not ours
    )
    gone = [cluster.replica_of(other), other]
    with anyio.fail_after(90):
        async with bus:
            await bus.publish("order.placed", 0)
            for each in gone:
                await anyio.to_thread.run_sync(each.kill)
            told = ""
            while "CLUSTERDOWN" not in told:
                try:
                    await bus.publish("order.placed", 1, key="while it is noticed")
                except (PublishError, PublishUnknown) as error:
                    told = str(error)
            for each in gone:
                await anyio.to_thread.run_sync(each.start)
            await anyio.to_thread.run_sync(cluster.wait_until_whole)
            while 2 not in seen:
                try:
                    await bus.publish("order.placed", 2)
                except (PublishError, PublishUnknown):
                    await anyio.sleep(0.1)
                await anyio.sleep(0.05)
    assert seen[0] == 0
