"""Short fault runs over a real Redis: processes are killed, stopped and ended, the server too."""

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
from tests.faults._broker import OwnRedis
from tests.faults._events import Event
from tests.faults._recovery import takeovers
from tests.faults._scene import Scene
from tests.servers import RedisServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

LEASE = 2.0
BUSY = 1.0
"""Seconds that a machine with more to do than it can may add to any wait."""


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with started_or_skip(lambda: RedisServer(fsync="always")) as server:
        yield server


@asynccontextmanager
async def scene(
    server: RedisServer, folder: Path, groups: tuple[str, ...] = ("alpha",)
) -> AsyncGenerator[Scene]:
    broker = OwnRedis(server, f"?lease={LEASE:g}s&prefix={folder.name}")
    async with Scene(broker, folder, groups=groups) as found:
        yield found


async def test_what_a_killed_process_was_handling_is_handled_by_another(
    server: RedisServer, tmp_path: Path
) -> None:
    async with scene(server, tmp_path) as town:
        (other,) = await consumers(town, 1)
        victim = await town.launch("consumer", "victim", work=60.0)
        victim.once()
        await town.ready(victim)
        producer = await town.launch("producer", "producer", rate=100.0)
        await busy(town, victim, 8)
        victim.kill()
        await town.until(lambda: len(takeovers(town.record)) >= 8, "somebody took over")
        await town.end(producer)
        found = await ended(town, other)
    assert found.violations == []
    taken = takeovers(town.record)
    # What it was handling is tried alone, one after another, each for some milliseconds.
    assert taken[0] <= 1.25 * LEASE + BUSY, taken


async def test_a_poison_event_ends_as_a_dead_letter_and_its_neighbours_are_handled(
    server: RedisServer, tmp_path: Path
) -> None:
    """It kills each process that handles it, while that has others in hand."""
    async with scene(server, tmp_path) as town:
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
    assert [each.kind for each in town.record.faults if each.kind != "lag"] == ["poison"] * len(
        killed
    )
    # The first time it was not alone, afterwards only its own count went up: two attempts allowed.
    assert 2 <= len(killed) <= 3


async def test_what_was_done_when_its_process_was_killed_before_it_could_say_so_is_done_again(
    server: RedisServer, tmp_path: Path
) -> None:
    """kill -9 between the end of a handler and the acknowledgement."""
    async with scene(server, tmp_path) as town:
        found, crash = await crashes_late(town)
    assert found.violations == []
    assert [each.end is not None for each in town.record.handled("alpha", crash.name)] == [True] * 2
    assert town.record.letters["alpha"] == {}


async def test_a_publisher_that_is_killed_leaves_what_it_was_told_is_there(
    server: RedisServer, tmp_path: Path
) -> None:
    async with scene(server, tmp_path) as town:
        found = await publisher_is_killed(town)
    assert found.violations == []
    assert found.repeats.total == 0


async def test_a_process_that_stood_still_for_longer_than_its_lease_does_no_harm(
    server: RedisServer, tmp_path: Path
) -> None:
    async with scene(server, tmp_path) as town:
        zombie, other = await consumers(town, 2, work=0.2)
        producer = await town.launch("producer", "producer", rate=60.0)
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
    assert found.repeats.total > 0, "what it had in hand was done by another as well"
    assert town.record.stats[victim]["lost"] > 0


@pytest.mark.parametrize("fsync", ["always", "everysec"])
async def test_a_server_that_is_killed_under_load_loses_nothing_and_nobody(
    server: RedisServer, tmp_path: Path, fsync: str
) -> None:
    async with scene(server, tmp_path, ("alpha", "beta")) as town:
        workers = await consumers(town, 2)
        before = {each.pid for each in workers}
        producer = await town.launch("producer", "producer", rate=300.0)
        await handle(town, workers)
        for number in range(1, 4):
            await flows(town)
            with town.faulty.during("restart", "server", None):
                await asyncio.to_thread(town.broker.restart, 0.3, fsync)
            await resumed(town, 2 * number)
        await town.end(producer)
        found = await ended(town, *workers)
    assert found.violations == []
    assert {pid for name, pid, _ in town.record.exits if name.startswith("consumer")} == before


async def test_sigterm_under_load_loses_nothing_and_repeats_nothing(
    server: RedisServer, tmp_path: Path
) -> None:
    async with scene(server, tmp_path) as town:
        one, two = await consumers(town, 2, work=0.03)
        producer = await town.launch("producer", "producer", rate=200.0)
        for _ in range(3):
            await busy(town, one, 2)
            await replaced(town, one)
        await town.end(producer)
        found = await ended(town, one, two)
    assert found.violations == []
    assert [status for _, _, status in town.record.exits] == [0] * len(town.record.exits)
    if not any(each.kind == "lag" for each in town.record.faults):
        assert found.repeats.total == 0
