"""Short fault runs over three real Kafkas: processes are killed, stopped and ended, brokers too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.faults._acts import (
    busy,
    consumers,
    crashes_late,
    ended,
    flows,
    handle,
    publisher_is_killed,
    replaced,
    resumed,
)
from tests.faults._events import Event
from tests.faults._own_kafka import OwnKafka
from tests.faults._recovery import takeovers
from tests.faults._scene import Scene
from tests.servers import KafkaCluster, KafkaServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

LEASE = 3.0
KEYS = 40
"""So many that some lie in each partition: each process names its own."""
BUSY = 3.0
"""Seconds that a machine with more to do than it can may add to any wait."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with started_or_skip(KafkaCluster) as cluster:
        yield cluster


@asynccontextmanager
async def scene(
    cluster: KafkaCluster, folder: Path, groups: tuple[str, ...] = ("alpha",)
) -> AsyncGenerator[Scene]:
    query = f"?lease={LEASE:g}s&partitions=4&metadata_age=1s&prefix={folder.name}."
    async with Scene(OwnKafka(cluster, query), folder, groups=groups) as found:
        yield found


async def test_what_a_killed_process_was_handling_is_handled_by_another(
    cluster: KafkaCluster, tmp_path: Path
) -> None:
    async with scene(cluster, tmp_path) as town:
        producer = await town.launch("producer", "producer", rate=60.0, keys=KEYS)
        (other,) = await consumers(town, 1)
        victim = await town.launch("consumer", "victim", work=60.0)
        victim.once()
        await town.ready(victim)
        await busy(town, victim, 2)
        victim.kill()
        await town.until(lambda: len(takeovers(town.record)) >= 2, "somebody took over")
        await town.end(producer)
        found = await ended(town, other)
    assert found.violations == []
    # After the lease, and after the others have joined.
    assert takeovers(town.record)[0] <= 1.25 * LEASE + BUSY


async def test_a_poison_event_ends_as_a_dead_letter_and_its_neighbours_are_handled(
    cluster: KafkaCluster, tmp_path: Path
) -> None:
    """It kills each process that handles it, while that has others in hand."""
    async with scene(cluster, tmp_path) as town:
        workers = await consumers(town, 2, work=0.02, attempts=2)
        events = [Event("red", f"k{each % 7}", each, "work") for each in range(60)]
        poison = Event("red", "guilty", 1, "poison")
        await town.publish([*events[:30], poison, *events[30:]])
        await town.until_handled()
        await town.until_condemned()
        found = await ended(town, *workers)
    assert found.violations == []
    assert town.record.letters["alpha"] == {poison.name: "Crashed"}
    killed = [pid for _, pid, status in town.record.exits if status == -9]
    # The first time it was not alone, afterwards only its own count went up: two attempts allowed.
    assert 2 <= len(killed) <= 3


async def test_what_was_done_when_its_process_was_killed_before_it_could_say_so_is_done_again(
    cluster: KafkaCluster, tmp_path: Path
) -> None:
    """kill -9 between the end of a handler and the acknowledgement."""
    async with scene(cluster, tmp_path) as town:
        found, crash = await crashes_late(town)
    assert found.violations == []
    assert [each.end is not None for each in town.record.handled("alpha", crash.name)] == [True] * 2
    assert town.record.letters["alpha"] == {}


async def test_a_publisher_that_is_killed_leaves_what_it_was_told_is_there(
    cluster: KafkaCluster, tmp_path: Path
) -> None:
    async with scene(cluster, tmp_path) as town:
        found = await publisher_is_killed(town)
    assert found.violations == []
    assert found.repeats.total == 0


async def test_a_process_that_stood_still_for_longer_than_its_lease_does_no_harm(
    cluster: KafkaCluster, tmp_path: Path
) -> None:
    """What it had was given to the other meanwhile, and nothing it says of that counts."""
    async with scene(cluster, tmp_path) as town:
        producer = await town.launch("producer", "producer", rate=60.0, keys=KEYS)
        zombie, other = await consumers(town, 2, work=0.2)
        victim = await busy(town, zombie, 3)
        await zombie.stop(2 * LEASE)
        town.read()
        before = {*town.record.running(victim)}
        await town.until(
            lambda: bool({*town.record.running(victim)} - before), "it goes on with others"
        )
        await town.end(producer)
        found = await ended(town, zombie, other)
    assert found.violations == []
    assert town.record.stats[victim]["lost"] > 0


async def test_sigterm_under_load_loses_nothing_and_repeats_nothing(
    cluster: KafkaCluster, tmp_path: Path
) -> None:
    async with scene(cluster, tmp_path) as town:
        producer = await town.launch("producer", "producer", rate=100.0, keys=KEYS)
        one, two = await consumers(town, 2, work=0.03)
        for _ in range(2):
            await busy(town, one, 2)
            await replaced(town, one)
        await town.end(producer)
        found = await ended(town, one, two)
    assert found.violations == []
    assert [status for _, _, status in town.record.exits] == [0] * len(town.record.exits)
    if not any(each.kind == "lag" for each in town.record.faults):
        assert found.repeats.total == 0


@pytest.mark.parametrize("which", ["leader", "coordinator"])
async def test_a_broker_that_is_killed_under_load_loses_nothing_and_nobody(
    cluster: KafkaCluster, tmp_path: Path, which: str
) -> None:
    """What was acknowledged to the publisher is there, and once."""
    async with scene(cluster, tmp_path, ("alpha", "beta")) as town:
        producer = await town.launch("producer", "producer", rate=150.0)
        workers = await consumers(town, 2)
        before = {each.pid for each in workers}
        await flows(town)
        await handle(town, workers)
        victim = _node(cluster, f"{tmp_path.name}.", which)
        with town.faulty.during("restart", "server", None):
            await asyncio.to_thread(town.broker.restart, 0.3, str(victim.number))
        await resumed(town, 2)
        await flows(town)
        await town.end(producer)
        found = await ended(town, *workers)
    assert found.violations == []
    assert {pid for name, pid, _ in town.record.exits if name.startswith("consumer")} == before


def _node(cluster: KafkaCluster, prefix: str, which: str) -> KafkaServer:
    if which == "leader":
        return cluster.leader_of(f"{prefix}red")
    return cluster.coordinator_of(f"{prefix}alpha")


async def test_members_that_come_and_go_every_second_lose_nothing_and_repeat_nothing(
    cluster: KafkaCluster, tmp_path: Path
) -> None:
    async with scene(cluster, tmp_path) as town:
        producer = await town.launch("producer", "producer", rate=100.0, keys=KEYS)
        (steady,) = await consumers(town, 1)
        visitor = await town.launch("visitor", "visitor")
        await town.until(lambda: town.record.visits >= 4, "it came and went")
        await town.end(producer, visitor)
        found = await ended(town, steady)
    assert found.violations == []
    if not any(each.kind == "lag" for each in town.record.faults):
        assert found.repeats.total == 0
