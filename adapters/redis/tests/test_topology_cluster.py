"""Keys on many nodes: each command finds its own, in order, and nothing is executed twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from redis.asyncio import RedisCluster as Client

from busway.errors import TransportError
from busway_redis._answers import answers
from busway_redis._client import options_of
from busway_redis._cluster import Cluster, _Asked
from busway_redis._errors import NotSent, Refused, Unanswered
from busway_redis._following import elsewhere, pause
from busway_redis._options import Node
from busway_redis._scripts import Script
from busway_redis._slots import SLOTS, slot_of
from busway_redis._topology import topology_of
from tests.servers import RedisCluster, RedisServer
from tests.servers.plugin import started_or_skip

from .opening import opened

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

PUSH = Script("return redis.call('RPUSH', KEYS[1], ARGV[1])")


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with started_or_skip(RedisCluster) as servers:
        yield servers


def other_master(cluster: RedisCluster, slot: int) -> RedisServer:
    owner = cluster.master_of(slot)
    return next(
        master for each in range(0, SLOTS, 2000) if (master := cluster.master_of(each)) is not owner
    )


@pytest.mark.parametrize(
    "key", ["", "k", "busway:{orders}", "busway:{orders#3}:retry:g", "{}x", "{a}{b}", "}{a", "{ü}"]
)
async def test_the_slot_of_a_key_is_the_one_that_redis_computes(
    cluster: RedisCluster, key: str
) -> None:
    assert slot_of(key) == cluster.slot_of(key)


async def test_each_command_goes_to_the_node_of_its_key(cluster: RedisCluster) -> None:
    async with opened(cluster.url) as topology:
        assert topology.one_slot
        keys = [f"each-{number}" for number in range(50)]
        begun = [topology.begin(key, "SET", key, key) for key in keys]
        assert [await each for each in begun] == [b"OK"] * 50
        assert [await topology.call(key, "GET", key) for key in keys] == [k.encode() for k in keys]
        assert topology.connections == 3
        assert await topology.everywhere("PING") == [b"PONG"] * 3


async def test_it_is_configured_by_a_client(cluster: RedisCluster) -> None:
    async with opened(Client(host="127.0.0.1", port=cluster.servers[0].port)) as topology:
        assert await topology.call("k", "ECHO", "hello") == b"hello"


async def test_a_script_runs_at_the_node_of_its_first_key(cluster: RedisCluster) -> None:
    async with opened(cluster.url) as topology:
        for number in range(9):
            assert await topology.script(PUSH, [f"script-{number}"], ["v"]) == 1


async def test_keys_of_two_slots_are_refused(cluster: RedisCluster) -> None:
    async with opened(cluster.url) as topology:
        with pytest.raises(Refused, match="one hash tag"):
            await topology.call("a", "MGET", "a", "b")


async def test_one_node_that_answers_is_enough_to_begin(cluster: RedisCluster) -> None:
    url = f"redis+cluster://127.0.0.1:1,127.0.0.1:{cluster.servers[4].port}"
    async with opened(url) as topology:
        assert await topology.call("k", "ECHO", "hello") == b"hello"


async def test_no_node_that_answers_is_said() -> None:
    topology = topology_of(options_of("redis+cluster://127.0.0.1:1", timeout=0.3))
    with pytest.raises(NotSent, match=r"no node of the cluster within 0\.3 s: .*refused") as caught:
        await topology.open()
    assert caught.value.retryable
    await topology.close()


async def test_a_server_that_is_no_cluster_is_named_at_once(redis_server: RedisServer) -> None:
    topology = topology_of(options_of(f"redis+cluster://127.0.0.1:{redis_server.port}"))
    with pytest.raises(NotSent, match="it is no cluster: use redis://") as caught:
        await topology.open()
    assert not caught.value.retryable
    await topology.close()


async def test_a_moved_slot_is_followed_in_order(cluster: RedisCluster) -> None:
    """A list written from many tasks at once, while its slot moves with ASK and then MOVED."""
    key, slot = "moving", cluster.slot_of("moving")
    target = other_master(cluster, slot)
    async with opened(cluster.url) as topology:
        begun: list[asyncio.Future[Any]] = []
        written = 0

        def push(count: int) -> None:
            nonlocal written
            for _ in range(count):
                begun.append(topology.begin(key, "RPUSH", key, written))
                written += 1

        push(100)
        await begun[-1]
        cluster.begin_migration(slot, target)
        push(100)
        await begun[-1]
        moving = asyncio.create_task(asyncio.to_thread(cluster.move_keys, slot, target))
        while not moving.done():
            push(10)
            await begun[-1]
        push(100)
        ending = asyncio.create_task(asyncio.to_thread(cluster.end_migration, slot, target))
        while not ending.done():
            push(10)
            await asyncio.sleep(0)
        push(100)
        await asyncio.gather(moving, ending)
        for each in begun:
            await each
        found = await topology.call(key, "LRANGE", key, 0, -1)
        assert found == [b"%d" % number for number in range(written)]
    assert cluster.master_of(slot) is target


async def test_what_is_new_for_a_moved_slot_waits_for_what_its_old_node_was_asked(
    cluster: RedisCluster,
) -> None:
    """The old node is slow to say that the slot has moved; the others have said so already."""
    key, slot = "ordered", cluster.slot_of("ordered")
    old, target = cluster.master_of(slot), other_master(cluster, slot)
    async with opened(cluster.url) as topology:
        assert isinstance(topology, Cluster)
        assert await topology.call(key, "RPUSH", key, 0) == 1
        await topology.everywhere("PING")
        cluster.begin_migration(slot, target)
        await asyncio.to_thread(cluster.move_keys, slot, target)
        await asyncio.to_thread(cluster.end_migration, slot, target)
        old.pause()
        try:
            begun = [topology.begin(key, "RPUSH", key, number) for number in range(1, 10)]
            await topology._map.refreshed()
            begun += [topology.begin(key, "RPUSH", key, number) for number in range(10, 20)]
            assert not [each for each in begun if each.done()]
        finally:
            old.resume()
        assert [await each for each in begun] == list(range(2, 21))
        found = await topology.call(key, "LRANGE", key, 0, -1)
        assert found == [b"%d" % number for number in range(20)]


async def test_a_reader_goes_where_its_slot_goes(cluster: RedisCluster) -> None:
    key, slot = "read", cluster.slot_of("read")
    async with opened(cluster.url) as topology:
        await topology.call(key, "XGROUP", "CREATE", key, "g", "0", "MKSTREAM")
        reader = topology.reader(key)

        async def read() -> Any:
            added = await topology.call(key, "XADD", key, "*", "f", "v")
            while True:
                try:
                    answer = await reader.call(
                        *("XREADGROUP", "GROUP", "g", "c", "BLOCK", 5000, "STREAMS", key, ">")
                    )
                except Refused as error:
                    # What was read went away under the reader: the key has moved.
                    if error.code not in ("UNBLOCKED", "NOGROUP"):
                        raise
                    continue
                assert answer[0][1][0][0] == added
                return

        await read()
        target = other_master(cluster, slot)
        cluster.begin_migration(slot, target)
        await read()
        await asyncio.to_thread(cluster.move_keys, slot, target)
        await read()
        await asyncio.to_thread(cluster.end_migration, slot, target)
        await read()
        assert cluster.master_of(slot) is target
        await reader.close()


async def test_several_keys_of_a_slot_are_waited_for_until_all_have_moved(
    cluster: RedisCluster,
) -> None:
    """In between the node answers TRYAGAIN."""
    slot = cluster.slot_of("{pair}")
    target = other_master(cluster, slot)
    async with opened(cluster.url) as topology:
        await topology.call("{pair}a", "MSET", "{pair}a", "1", "{pair}b", "2")
        cluster.begin_migration(slot, target)
        assert await asyncio.to_thread(cluster.move_keys, slot, target, 1) == 1
        begun = topology.begin("{pair}a", "MGET", "{pair}a", "{pair}b")
        later = topology.begin("{pair}a", "ECHO", "later")
        assert await later == b"later"
        assert not begun.done()
        await asyncio.to_thread(cluster.move_keys, slot, target)
        assert await begun == [b"1", b"2"]
        await asyncio.to_thread(cluster.end_migration, slot, target)


async def test_what_waits_longer_than_its_deadline_was_not_sent(cluster: RedisCluster) -> None:
    slot = cluster.slot_of("{late}")
    target = other_master(cluster, slot)
    async with opened(cluster.url, timeout=0.4) as topology:
        await topology.call("{late}a", "MSET", "{late}a", "1", "{late}b", "2")
        for n in range(50):  # each master is connected to: that is no part of the deadline
            await topology.call(f"{n}", "GET", f"{n}")
        cluster.begin_migration(slot, target)
        await asyncio.to_thread(cluster.move_keys, slot, target, 1)
        with pytest.raises((NotSent, Refused), match="TRYAGAIN") as caught:
            await topology.call("{late}a", "MGET", "{late}a", "{late}b")
        assert caught.value.retryable
    await asyncio.to_thread(cluster.move_keys, slot, target)
    await asyncio.to_thread(cluster.end_migration, slot, target)


async def test_what_nobody_waits_for_any_more_is_not_sent_later(cluster: RedisCluster) -> None:
    """Its node's link is not connected yet."""
    async with opened(cluster.url) as topology:
        begun = topology.begin("cancelled", "INCR", "cancelled")
        begun.cancel()
        assert await topology.call("cancelled", "GET", "cancelled") is None
    async with opened(cluster.url) as topology:
        with pytest.raises(Unanswered):
            await answers([topology.begin("given up", "INCR", "given up")], 0.0)
        assert await topology.call("given up", "GET", "given up") is None


async def test_what_is_cancelled_leaves_nothing_and_the_answers_in_their_order(
    cluster: RedisCluster,
) -> None:
    async with opened(cluster.url) as topology:
        assert await topology.call("line", "ECHO", "first") == b"first"
        sent = topology.begin("line", "ECHO", "cancelled")
        later = topology.begin("line", "ECHO", "later")
        await asyncio.sleep(0)
        sent.cancel()
        assert isinstance(sent, _Asked)
        assert sent.inner is not None
        assert sent.inner.cancelled()
        assert await later == b"later"


async def test_a_failover_in_good_order_loses_nothing(cluster: RedisCluster) -> None:
    key, slot = "orderly", cluster.slot_of("orderly")
    async with opened(cluster.url) as topology:
        reader = topology.reader(key)
        written = 0
        failing = asyncio.create_task(asyncio.to_thread(cluster.failover, slot))
        while not failing.done():
            written += await certain(topology.call(key, "RPUSH", key, written))
        await failing
        written += await certain(topology.call(key, "RPUSH", key, written))
        assert int(await reader.call("LLEN", key)) >= written
        await reader.close()


async def certain(call: Any) -> bool:
    """Whether it was executed; an Unanswered may have been."""
    try:
        await call
    except Unanswered:
        return False
    return True


async def test_a_killed_master_is_replaced_within_the_deadline_of_a_call(
    cluster: RedisCluster,
) -> None:
    key, slot = "killed", cluster.slot_of("killed")
    async with opened(cluster.url, timeout=19) as topology:
        reader = topology.reader(key)
        assert await topology.call(key, "SET", key, "1") == b"OK"
        assert await reader.call("PING") == b"PONG"
        before = cluster.master_of(slot)
        before.command("WAIT", 1, 5000)
        before.kill()
        try:
            assert await until_answered(topology, key, "SET", key, "2") == b"OK"
            assert await until_answered(reader, "GET", key) == b"2"
        finally:
            await asyncio.to_thread(cluster.wait_until_whole)
            before.start()
            await asyncio.to_thread(cluster.wait_until_whole)
        assert cluster.master_of(slot) is not before
        await reader.close()


async def until_answered(who: Any, *command: str) -> Any:
    """As the core does it: what may be tried again is."""
    while True:
        try:
            return await who.call(*command)
        except TransportError as error:
            if not error.retryable:
                raise


async def test_nothing_is_left_when_it_is_closed(cluster: RedisCluster) -> None:
    before = asyncio.all_tasks()
    async with opened(cluster.url) as topology:
        reader = topology.reader("k")
        await reader.call("PING")
        for number in range(9):
            await topology.call(f"k{number}", "EXISTS", f"k{number}")
        await reader.close()
    assert asyncio.all_tasks() == before
    with pytest.raises(NotSent, match="closed"):
        await topology.call("k", "PING")


def test_a_node_that_does_not_know_its_name_means_the_one_that_was_asked() -> None:
    asked = Node("h", 1)
    assert elsewhere(Refused("MOVED", "5 :7000"), asked) == (5, Node("h", 7000))
    assert elsewhere(Refused("ASK", "5 ::1:7000"), asked) == (5, Node("::1", 7000))
    assert elsewhere(Refused("TRYAGAIN", "later please"), asked) is None


def test_pauses_grow_and_have_an_end() -> None:
    assert [pause(tries) for tries in (1, 2)] == [0.0, 0.0]
    assert 0.01 <= pause(3) <= 0.02
    assert 0.25 <= pause(50) <= 0.5
