"""Brokers are away, stand still, or are too few for what a topic asks, under a bus in here."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from busway import PublishError, PublishUnknown
from tests.faults._town import IN_TIME, LEASE, PATIENCE, Town, entered, town
from tests.servers import KafkaCluster
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

LATE = 2.0
"""Seconds that this machine may add to a deadline of the bus."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with started_or_skip(KafkaCluster) as cluster:
        yield cluster


class Told:
    """What a publisher was told of what it published, one after another."""

    def __init__(self, here: Town) -> None:
        self.written: list[str] = []
        self.not_sent: dict[str, PublishError] = {}
        self.unknown: dict[str, PublishUnknown] = {}
        self._here = here
        self._numbers = itertools.count()

    def reasons(self) -> str:
        """Why what was not sent was not."""
        return "\n".join(map(str, self.not_sent.values()))

    async def publish(self, name: str) -> None:
        began = time.monotonic()
        try:
            await self._here.publish(name)
            self.written.append(name)
        except PublishUnknown as error:
            self.unknown[name] = error
        except PublishError as error:
            self.not_sent[name] = error
        assert time.monotonic() - began < IN_TIME + LATE, "it was told in time"

    async def publish_until(self, fact: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not fact():
                await self.publish(f"n{next(self._numbers)}")

    async def holds(self) -> None:
        """What was said to be written is there, once, and handled; what was not to be sent is
        not there."""
        await self._here.handled(self.written)
        await self._here.at_the_end()
        lies = await self._here.written()
        assert {lies.count(name) for name in self.written} == {1}
        assert {lies.count(name) for name in self.unknown} <= {0, 1}
        assert not {*self.not_sent} & {*lies, *self._here.seen}


async def test_all_goes_on_after_all_brokers_were_away_for_longer_than_a_lease(
    cluster: KafkaCluster, request: pytest.FixtureRequest
) -> None:
    async with town(cluster, request) as here:
        await here.at_the_end()
        here.gate.clear()
        await here.publish("in hand")
        told, until = Told(here), time.monotonic() + 1.2 * LEASE
        await asyncio.to_thread(cluster.kill)
        await told.publish_until(lambda: time.monotonic() > until)
        assert not told.written, "there was nobody to write it"
        here.gate.set()
        await asyncio.to_thread(cluster.start)
        before = len(told.written)
        await told.publish_until(lambda: len(told.written) >= before + 3)
        await here.handled(["in hand"])
        await told.holds()
        assert here.seen.count("first") == 1


async def test_what_is_published_while_a_broker_stands_still_is_told_rightly(
    cluster: KafkaCluster, request: pytest.FixtureRequest
) -> None:
    """For longer than a request may take, and than the others wait for it."""
    async with town(cluster, request) as here:
        leader = cluster.leader_of(here.topic)
        other = next(each for each in cluster.nodes if each is not leader)
        told = Told(here)
        await asyncio.to_thread(leader.pause)
        try:
            await told.publish("into the silence")
            # How long the others wait for it is their matter, and longer when it led them, too.
            async with asyncio.timeout(3 * PATIENCE):
                while other.look().partitions[here.topic, 0].leader == leader.number:
                    await asyncio.sleep(0.05)
            await told.publish_until(lambda: len(told.written) >= 3)
        finally:
            await asyncio.to_thread(cluster.resume)
        await told.publish("last")
        await told.holds()


async def test_what_too_few_replicas_would_have_is_not_sent_and_goes_on_when_they_are_back(
    cluster: KafkaCluster, request: pytest.FixtureRequest
) -> None:
    async with town(cluster, request) as here:
        await here.configure(min_insync_replicas="3")
        lacking = next(n for n in cluster.nodes if n is not cluster.leader_of(here.topic))
        told = Told(here)
        await asyncio.to_thread(lacking.kill)
        try:
            await asyncio.to_thread(cluster.wait_until_whole)
            await told.publish_until(lambda: "too few replicas are in sync" in told.reasons())
            assert not told.written, "it would have been on too few"
            await here.bus.publish("green.done", {}, key="of another topic")
        finally:
            await asyncio.to_thread(lacking.start)
        await told.publish_until(lambda: bool(told.written))
        await told.holds()


async def test_what_was_written_before_too_few_replicas_were_left_is_unknown_and_there_once(
    cluster: KafkaCluster, request: pytest.FixtureRequest
) -> None:
    """Its leader has it, and waits for one that is not there, until that counts no more."""
    async with town(cluster, request) as here:
        await here.configure(min_insync_replicas="3")
        lacking = next(n for n in cluster.nodes if n is not cluster.leader_of(here.topic))
        told = Told(here)
        await asyncio.to_thread(lacking.pause)
        try:
            await told.publish("amid")
        finally:
            await asyncio.to_thread(cluster.resume)
        assert [*told.unknown] == ["amid"]
        await told.publish_until(lambda: bool(told.written))
        await told.holds()
        assert (await here.written()).count("amid") == 1


async def test_a_coordinator_that_is_killed_while_members_drain_commit_and_join_is_followed(
    cluster: KafkaCluster, request: pytest.FixtureRequest
) -> None:
    """Who comes next has to read first what the group has said."""
    names = [f"n{number}" for number in range(12)]
    async with town(cluster, request, partitions="2") as here, AsyncExitStack() as stack:
        here.gate.clear()
        await here.publish(*names)
        await here.begins(1 + 4)
        coordinator = cluster.coordinator_of(f"{here.prefix}see")
        before = here.bus.stats().transport["rebalances"]
        await stack.enter_async_context(here.another())
        # What it is to let go of it is told in that moment, and it cannot: it has it in hand.
        await until(lambda: here.bus.stats().transport["rebalances"] > before)
        await asyncio.to_thread(coordinator.kill)
        try:
            here.gate.set()
            await entered(stack, here.another)
            await here.handled(names)
            await here.at_the_end()
        finally:
            await asyncio.to_thread(coordinator.start)
        await here.publish("last")
        await here.handled(["last"])
        assert max(map(here.seen.count, names)) <= 2, "what was in hand, once more at most"


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not fact():
            await asyncio.sleep(0.01)
