"""Members of a group that stand still, never let go, or come twice under one name."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from busway import Bus, Message, PublishUnknown
from busway_kafka._murmur import partition_of
from tests.faults._town import IN_TIME, LEASE, PATIENCE, town
from tests.servers import KafkaServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    with started_or_skip(KafkaServer) as server:
        yield server


async def test_a_handler_that_blocks_the_loop_for_longer_than_a_lease_loses_nothing(
    server: KafkaServer, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is said to the broker meanwhile: it takes the member for dead."""
    async with town(server, request) as here:
        await here.at_the_end()

        blocked: list[float] = []

        async def blocks(data: object) -> None:
            if not blocked:
                time.sleep(1.3 * LEASE)  # noqa: ASYNC251
            blocked.append(time.monotonic())

        here.bus.add(blocks, "red.blocked", group="see")
        names = [f"n{number}" for number in range(3)]
        here.gate.clear()
        await here.publish(*names)
        await here.begins(1 + 3)
        # That it was written may be heard only when the loop is free again, which is too late.
        with contextlib.suppress(PublishUnknown):
            await here.bus.publish("red.blocked", {}, key="n3")
        async with asyncio.timeout(PATIENCE):
            while not blocked:
                await asyncio.sleep(0.02)
        here.gate.set()
        await here.handled(names)
        await here.at_the_end()
        assert "this member was taken for dead" in caplog.text
        assert len(blocked) == 2, "what it said after that counted for nothing"
        assert here.seen.count("first") == 1


async def test_a_handler_that_never_returns_does_not_keep_its_partition(
    server: KafkaServer, request: pytest.FixtureRequest
) -> None:
    """What it has is handled by whom the partition goes to, and its own end counts for nothing."""
    async with town(server, request, partitions="2", drain="500ms") as here:
        here.gate.clear()
        # Two of each partition, so that all are in hand and whatever moves has some.
        keys = [f"n{number}" for number in range(20)]
        names = [
            k for n in (0, 1) for k in [k for k in keys if partition_of(k.encode(), 2) == n][:2]
        ]
        await here.publish(*names)
        await here.begins(1 + 4)
        seen: list[str] = []

        async def handle(data: dict[str, str], message: Message[Any]) -> None:
            seen.append(data["name"])

        other = Bus(here.url, service="shop")
        other.add(handle, "red.*", group="see", concurrency=4)
        async with other:
            await until(lambda: bool(seen))
            await until(lambda: bool({*here.begun} & {*seen}))
            assert here.seen == ["first"]
            here.gate.set()
            await until(lambda: {*names} <= {*seen, *here.seen})
            await here.at_the_end()


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not fact():
            await asyncio.sleep(0.01)


async def test_of_two_under_one_name_each_finishes_what_it_does(
    server: KafkaServer, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """Kafka puts out whoever came first. If that one came back at once, and so on, what takes
    longer than a heartbeat would never be finished, and be set aside as if it killed processes."""
    async with town(server, request, instance="one") as here:
        seen: list[str] = []

        async def handle(data: dict[str, str], message: Message[Any]) -> None:
            await asyncio.sleep(0.5)  # no fact: that is how long it takes
            seen.append(data["name"])

        other = Bus(here.url, service="shop", publish_timeout=IN_TIME)
        other.add(handle, "red.*", group="see", concurrency=4)
        names = [f"n{number}" for number in range(8)]
        async with other:
            await here.publish(*names)
            await until(lambda: {*names} <= {*seen, *here.seen})
            await here.at_the_end()
        assert "another member has come as instance=one" in caplog.text
        assert not [letter async for letter in here.bus.dead_letters("see")]
        assert max(map([*seen, *here.seen].count, names)) <= 2
        await here.publish("last")
        await here.handled(["last"])


async def test_a_group_whose_offsets_were_deleted_begins_where_it_is_to_begin(
    server: KafkaServer, request: pytest.FixtureRequest
) -> None:
    """At the beginning, that is: everything comes again, and nothing is passed over."""
    async with town(server, request) as here:
        await here.publish("second")
        await here.handled(["second"])
        await here.at_the_end()
        await here.subscription.stop()
        await here.publish("third")
        operator: Any = AdminClient({"bootstrap.servers": server.servers})
        group = f"{here.prefix}see"
        operator.delete_consumer_groups([group])[group].result(PATIENCE)
        here.seen.clear()
        here.listens(here.bus)
        await here.handled(["first", "second", "third"])
        assert here.seen == ["first", "second", "third"]
        await here.at_the_end()
