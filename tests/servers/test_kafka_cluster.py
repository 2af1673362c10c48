"""Three Kafkas that are one, as a fixture, seen by plain aiokafka."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from aiokafka.errors import KafkaError

from tests.servers import KafkaCluster, KafkaServer
from tests.servers._ports import free_ports
from tests.servers.plugin import started_or_skip

from ._plain import make_topic, producing, read_topic

# It waits for what three servers agree about.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

TOPIC = "copied"
GROUP = "us"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with started_or_skip(KafkaCluster) as cluster:
        asyncio.run(make_topic(cluster.servers, TOPIC, copies=3))
        yield cluster


async def write(cluster: KafkaCluster, value: bytes, patience: float = 20.0) -> None:
    options = {"retry_backoff_ms": 50, "request_timeout_ms": int(patience * 1000)}
    async with producing(cluster.servers, acks="all", **options) as producer:
        await producer.send_and_wait(TOPIC, value)


async def in_thread(cluster: KafkaCluster, node: KafkaServer, what: str) -> None:
    await asyncio.to_thread(getattr(node, what))
    await asyncio.to_thread(cluster.wait_until_whole)


async def test_a_leader_that_is_killed_is_replaced_and_nothing_is_lost(
    cluster: KafkaCluster,
) -> None:
    await write(cluster, b"before")
    before = cluster.leader_of(TOPIC)
    await in_thread(cluster, before, "kill")
    assert cluster.leader_of(TOPIC) is not before
    await write(cluster, b"after")
    await in_thread(cluster, before, "start")
    found = await read_topic(cluster.servers, TOPIC, 2)
    assert [each.value for each in found[:2]] == [b"before", b"after"]


async def test_a_group_is_looked_after_by_another_when_its_node_is_killed(
    cluster: KafkaCluster,
) -> None:
    before = await asyncio.to_thread(cluster.coordinator_of, GROUP)
    await in_thread(cluster, before, "kill")
    assert await asyncio.to_thread(cluster.coordinator_of, GROUP) is not before
    await in_thread(cluster, before, "start")


async def test_each_node_is_restarted_in_turn_and_somebody_leads_all_the_time(
    cluster: KafkaCluster,
) -> None:
    ports = [each.port for each in cluster.nodes]
    rolling = asyncio.create_task(asyncio.to_thread(cluster.roll))
    written = 0
    while not rolling.done():
        await write(cluster, b"meanwhile")
        written += 1
    await rolling
    assert written > 0
    assert [each.port for each in cluster.nodes] == ports
    await read_topic(cluster.servers, TOPIC, written)


async def test_a_node_that_is_paused_is_missed_and_comes_back(cluster: KafkaCluster) -> None:
    node = cluster.leader_of(TOPIC)
    node.pause()
    other = next(each for each in cluster.nodes if each is not node)
    try:
        async with asyncio.timeout(20):
            while node.number in (await asyncio.to_thread(other.look)).brokers:
                await asyncio.sleep(0.05)
    finally:
        node.resume()
    await asyncio.to_thread(cluster.wait_until_whole)


async def test_nothing_is_written_that_fewer_than_two_nodes_have(cluster: KafkaCluster) -> None:
    for each in cluster.nodes[1:]:
        each.kill()
    try:
        with pytest.raises(KafkaError):
            await write(cluster, b"alone", patience=1.0)
    finally:
        await asyncio.to_thread(cluster.start)
    await write(cluster, b"together")


async def test_all_of_it_is_killed_and_comes_back_with_what_was_written(
    cluster: KafkaCluster,
) -> None:
    await write(cluster, b"kept")
    written = cluster.look().partitions[TOPIC, 0]
    await asyncio.to_thread(cluster.kill)
    await asyncio.to_thread(cluster.start)
    assert cluster.look().partitions[TOPIC, 0].replicas == written.replicas
    await write(cluster, b"and more")


def test_ports_that_were_taken_at_the_last_moment_are_left_to_the_other(
    cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cluster.nodes[0]
    taken = iter([*first.voters.values(), *(each.port for each in cluster.nodes)])
    others = iter([taken, free_ports()])
    monkeypatch.setattr("tests.servers._kafka_cluster.free_ports", lambda: next(others))
    with KafkaCluster() as second:
        assert first.cluster != second.look().cluster == second.nodes[0].cluster
