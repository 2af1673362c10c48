"""Shards: one owner each, order by key between processes, and what becomes of an owner's end.

Each process is played by a bus of its own in this one; the last test has a real one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from busway import Bus, Message, OptionError
from busway_redis import RedisTransport, open_redis
from busway_redis._feed import RedisFeed
from busway_redis._sharing import share_of
from tests.facts import quick, until
from tests.servers import RedisServer

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 30.0
LEASE = 1.2
"""Where a test waits for its end."""
LONG = 30.0
SHARDS = 4
GROUP = "see"


class World:
    """Processes over one prefix."""

    def __init__(self, server: RedisServer) -> None:
        self.prefix = f"t{uuid.uuid4().hex[:8]}"
        self.server = server
        self.handled: list[tuple[str, str, int, int | None]] = []
        """Who handled which event of which key, and under which fence."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.inside: list[Any] = []

    def url(self, shards: int = SHARDS, lease: float = LONG) -> str:
        return f"{self.server.url}?prefix={self.prefix}&lease={lease}s&shards={shards}"

    def transport(self, **options: Any) -> RedisTransport:
        return open_redis(self.url(**options))

    def bus(self, name: str, **options: Any) -> Bus:
        bus = Bus(self.transport(**options), service="shop", retry=quick(1))

        async def handle(data: Any, message: Message[Any]) -> None:
            self.inside.append(data)
            await self.gate.wait()
            assert message.key is not None
            self.handled.append((name, message.key, data, message.fence))

        bus.add(handle, "a.*", group=GROUP, concurrency=8)
        return bus

    async def holders(self) -> dict[int, str]:
        """Who has which shard, as the server knows it."""
        keys = self.transport().keys
        found: dict[int, str] = {}
        for shard in range(SHARDS):
            value = self.server.command("GET", keys.lease("a", GROUP, shard))
            if value:
                text = value.decode() if isinstance(value, bytes) else str(value)
                found[shard] = text.split(" ", 2)[2]
        return found

    async def shared_by(self, *counts: int) -> dict[int, str]:
        """Wait until so many members have so many shards each."""
        with anyio.fail_after(PATIENCE):
            while True:
                holders = await self.holders()
                has = sorted(list(holders.values()).count(each) for each in set(holders.values()))
                if has == sorted(counts):
                    return holders
                await anyio.sleep(0.02)

    def keys_in_order(self) -> None:
        """No key was handled backwards, counting the first time that each event was."""
        first: dict[str, list[int]] = defaultdict(list)
        for _, key, data, _ in self.handled:
            if data not in first[key]:
                first[key].append(data)
        for key, order in first.items():
            assert order == sorted(order), f"{key}: {order}"


@pytest.fixture
def world(redis_server: RedisServer) -> World:
    return World(redis_server)


def feed_of(bus: Bus) -> RedisFeed:
    transport: Any = bus._parts.runtime.transport  # type: ignore[attr-defined]
    (feed,) = [each for each in transport.feeds if each.group.name == GROUP]
    return feed  # type: ignore[no-any-return]


@asynccontextmanager
async def publishing(bus: Bus, count: int, *, keys: int = 10) -> AsyncGenerator[None]:
    """Publish numbered events beside what the block does."""

    async def publish() -> None:
        for n in range(count):
            await bus.publish("a.b", n, key=f"k{n % keys}")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publish)
        yield


def everything(world: World, count: int) -> Callable[[], bool]:
    return lambda: len({(key, data) for _, key, data, _ in world.handled}) == count


# --- shares ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("has", [[4], [0, 4], [2, 2, 0], [5, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
def test_the_shares_of_all_members_are_all_shards(has: list[int]) -> None:
    by_name = {f"m{place}": count for place, count in enumerate(has)}
    shares = [share_of(name, 4, by_name) for name in by_name]
    assert sum(shares) == 4
    assert max(shares) - min(shares) <= 1


def test_who_has_one_more_keeps_it() -> None:
    assert [share_of(name, 3, {"a": 1, "b": 2}) for name in ("a", "b")] == [1, 2]


async def test_shards_are_shared_out_and_taken_back(world: World) -> None:
    one, two, three = world.bus("one"), world.bus("two"), world.bus("three")
    async with one:
        await world.shared_by(4)
        async with two:
            await world.shared_by(2, 2)
            async with three:
                await world.shared_by(1, 1, 2)
            await world.shared_by(2, 2)
        await world.shared_by(4)
    assert await world.holders() == {}, "leaving gives the leases back"


async def test_shares_that_are_even_stay_where_they_are(world: World) -> None:
    async with world.bus("one"), world.bus("two"):
        before = await world.shared_by(2, 2)
        await anyio.sleep(1.5)  # some looks at each other, and all that they may ask for
        assert await world.holders() == before


# --- order ----------------------------------------------------------------------------------------


async def test_keys_stay_in_order_while_members_come_and_go(world: World) -> None:
    count = 1200
    async with world.bus("first") as first, publishing(first, count):
        for name in ("second", "third", "fourth"):
            async with world.bus(name):
                with anyio.fail_after(PATIENCE):
                    before = len(world.handled)
                    some = min(before + 50, count - 1)  # all of it may be handled already
                    await until(lambda n=some: len(world.handled) > n)  # type: ignore[misc]
                    while name not in {each[0] for each in world.handled}:
                        if everything(world, count)():
                            break
                        await anyio.sleep(0.01)
        with anyio.fail_after(PATIENCE):
            await until(everything(world, count))
    assert len({name for name, *_ in world.handled}) > 1, "nobody else handled anything"
    assert len(world.handled) == count, "a polite hand-over handles nothing twice"
    world.keys_in_order()


async def test_keys_stay_in_order_when_a_member_dies(world: World) -> None:
    count = 800
    async with world.bus("lives", lease=3.0) as lives, AsyncExitStack() as stack:
        dies = await stack.enter_async_context(world.bus("dies", lease=3.0))
        await world.shared_by(2, 2)
        async with publishing(lives, count):
            with anyio.fail_after(PATIENCE):
                await until(lambda: {"lives", "dies"} == {each[0] for each in world.handled})
            # Its connections are cut, and nothing is given back.
            await feed_of(dies).listening.die()
        await world.shared_by(4)
        with anyio.fail_after(PATIENCE):
            await until(everything(world, count))
    world.keys_in_order()


async def test_one_handler_at_a_time_has_a_key_whoever_it_belongs_to(world: World) -> None:
    """The next owner begins when the last handler of the one before has ended."""
    world.gate.clear()
    async with world.bus("one") as one:
        for n in range(8):
            await one.publish("a.b", n, key=f"k{n}")
        await until(lambda: len(world.inside) == 8)
        async with world.bus("two"):
            for n in range(8):
                await one.publish("a.b", 100 + n, key=f"k{n}")
            await anyio.sleep(1)  # long enough for a shard to move, if it did not wait
            assert sorted(world.inside) == list(range(8))
            world.gate.set()
            with anyio.fail_after(PATIENCE):
                await until(everything(world, 16))
    assert len(world.handled) == 16
    world.keys_in_order()


# --- fences and zombies ---------------------------------------------------------------------------


async def test_each_owner_of_a_key_has_a_greater_fence(world: World) -> None:
    fences: list[int] = []
    for name in ("one", "two", "three"):
        async with world.bus(name) as bus:
            await bus.publish("a.b", len(fences), key="k")
            await until(lambda: len(world.handled) > len(fences))
            fence = world.handled[-1][3]
            assert fence is not None
            fences.append(fence)
    assert sorted(set(fences)) == fences


async def test_a_fence_grows_even_if_the_server_forgot_the_last(world: World) -> None:
    fences: list[int | None] = []
    for name in ("one", "two"):
        async with world.bus(name) as bus:
            await bus.publish("a.b", len(fences), key="k")
            await until(lambda: len(world.handled) > len(fences))
            fences.append(world.handled[-1][3])
        keys = world.transport().keys
        for shard in range(SHARDS):
            world.server.command("DEL", keys.fence("a", GROUP, shard))
    assert fences[0] is not None
    assert fences[1] is not None
    assert fences[1] > fences[0]


async def test_what_a_zombie_finishes_is_counted_as_lost_and_acknowledges_nothing(
    world: World,
) -> None:
    world.gate.clear()
    async with world.bus("zombie", lease=LEASE) as zombie:
        await zombie.publish("a.b", 1, key="k")
        await until(lambda: world.inside == [1])
        feed = feed_of(zombie)
        shards = feed.listening._shards
        for tenure in shards.tenures:
            tenure.lease.loan.until = 0.0  # it stood still for longer than the lease
        keys = world.transport().keys
        taken = [keys.lease("a", GROUP, shard) for shard in range(SHARDS)]
        for key in taken:
            world.server.command("SET", key, "9999999999999 whole another", "PX", "60000")
        world.gate.set()
        await until(lambda: zombie.stats().lost > 0)
        pending = [
            world.server.command("XPENDING", keys.stream("a", shard), GROUP)
            for shard in range(SHARDS)
        ]
        assert sum(int(each[0]) for each in pending) == 1  # type: ignore[index, call-overload]


async def test_a_late_read_of_a_lost_shard_takes_nothing(world: World) -> None:
    """The server looks at the lease in the step in which it reads."""
    async with world.bus("late") as late:
        keys = world.transport().keys
        for shard in range(SHARDS):
            lease = keys.lease("a", GROUP, shard)
            world.server.command("SET", lease, "9999999999999 whole another", "PX", "60000")
        for n in range(20):
            await late.publish("a.b", n, key=f"k{n}")
        await anyio.sleep(0.3)  # several reads, before a renewal tells
        told = [
            world.server.command("XPENDING", keys.stream("a", shard), GROUP)
            for shard in range(SHARDS)
        ]
    assert [int(each[0]) for each in told] == [0] * SHARDS  # type: ignore[index, call-overload]
    assert world.handled == []


async def test_who_passes_an_event_on_lets_the_others_read_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is woken first, and has no handler, would get the same event again and again."""
    monkeypatch.setattr("busway_redis._source._REST", (PATIENCE, PATIENCE))
    handled: list[Any] = []
    done = asyncio.Event()

    async def handle(data: Any) -> None:
        handled.append(data)
        if len(handled) == 40:
            done.set()

    transport = world.transport()
    one, two = (Bus(transport, service="shop", retry=quick(1)) for _ in range(2))
    one.add(handle, "a.placed", group=GROUP)
    two.add(handle, "a.paid", group=GROUP)
    async with one, two:
        feeds = [feed for feed in transport.feeds if feed.group.name == GROUP]
        (first,) = [feed.member for feed in feeds if feed.group.matches("a.placed")]
        holders = await world.shared_by(2, 2)
        for n in range(40):
            await one.publish("a.paid", n, key=f"k{n}")
        with anyio.fail_after(PATIENCE):
            await done.wait()
        keys = transport.keys
        passed = firsts = 0
        for shard, member in holders.items():
            stream, aside = keys.stream("a", shard), keys.passed("a", GROUP, shard)
            told = await transport.call(aside, "XINFO", "STREAM", aside)
            passed += told[told.index(b"entries-added") + 1]
            firsts += (member == first) * await transport.call(stream, "XLEN", stream)
    assert sorted(handled) == list(range(40))
    assert passed == firsts > 0


# --- agreeing -------------------------------------------------------------------------------------


async def test_a_process_with_another_number_of_shards_does_not_start(world: World) -> None:
    async with world.transport():
        pass
    with pytest.raises(OptionError, match=r"shards=2 here, and shards=4 .* HDEL .*:config shards"):
        async with world.transport(shards=2):
            pass
    with pytest.raises(OptionError, match="shards=1 here, and shards=4"):
        await world.bus("another", shards=1).start()
    async with world.transport():
        pass


async def test_a_process_that_keeps_a_topic_elsewhere_does_not_start(world: World) -> None:
    first = Bus(world.transport(), channels={"order.*": "sales"})
    async with first:
        other = Bus(world.transport(), channels={"order.*": "shop"})
        with pytest.raises(
            OptionError,
            match=r"'shop'} here, and 'sales' .* HDEL \w+:config 'channel:order\.\*'",
        ):
            await other.start()
        async with Bus(world.transport(), channels={"order.*": "sales", "user.*": "people"}):
            pass


# --- a process that stands still ------------------------------------------------------------------

STOPPED = """
import asyncio, sys
from busway import Bus
bus = Bus(sys.argv[1], service="shop")

async def handle(data, message):
    print(data, message.lost, flush=True)
    if data == 0:
        sys.stdin.readline()  # stopped in here, and let go on

bus.add(handle, "a.*", group="see")
asyncio.run(bus.run())
"""


async def test_a_process_that_was_stopped_starts_nothing_of_what_it_lost(world: World) -> None:
    """It goes on in the middle of a handler, with the next events fetched and waiting."""
    process = await anyio.open_process(
        [sys.executable, "-c", STOPPED, world.url(lease=3.0)], stderr=None
    )
    assert process.stdout is not None
    assert process.stdin is not None
    told = BufferedByteReceiveStream(process.stdout)
    try:
        await world.shared_by(4)
        async with world.transport() as transport:
            bus = Bus(transport, service="shop", publish_only=True)
            async with bus:
                for n in range(6):
                    await bus.publish("a.b", n, key="k")
            with anyio.fail_after(PATIENCE):
                assert await told.receive_until(b"\n", 100) == b"0 False"
            os.kill(process.pid, signal.SIGSTOP)
            async with world.bus("next", lease=3.0) as following:
                with anyio.fail_after(PATIENCE):
                    await until(everything(world, 6))
                os.kill(process.pid, signal.SIGCONT)
                await process.stdin.send(b"go\n")
                await world.shared_by(2, 2)
                for n in range(10, 30):
                    await following.publish("a.b", n, key=f"k{n}")
                with anyio.fail_after(PATIENCE):
                    said = await told.receive_until(b"\n", 100)  # something of its new share
    finally:
        process.kill()
        await process.aclose()
    again = [int(line.split()[0]) for line in said.splitlines()]
    assert all(n >= 10 for n in again), f"it went on with {again}"
    world.keys_in_order()
