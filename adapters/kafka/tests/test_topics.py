"""Topics are made when they are missing, once, and with what the events in them need."""

from __future__ import annotations

import asyncio
import gc
import uuid
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from aiokafka.protocol.admin import DescribeConfigsRequest

from busway import OptionError, TransportError
from busway.transport import Address, Purpose
from busway_kafka import open_kafka
from busway_kafka._names import Names
from busway_kafka._topics import Topics
from busway_kafka._url import parse

from .kafka_world import World, world

pytestmark = pytest.mark.anyio

ORDER = Address("order")


@pytest.fixture
async def here(kafka_url: str) -> AsyncIterator[World]:
    async with world(kafka_url, partitions=3, retention="2d") as made:
        yield made


async def settings(here: World, topic: str) -> dict[str, str]:
    """What was said when it was made."""
    request = DescribeConfigsRequest([(2, topic, None)])
    said = await here.client.ask(None, request)
    ((code, _, _, _, entries),) = said.resources
    assert not code
    by_topic = 1
    return {name: value for name, value, _, source, *_ in entries if source == by_topic}


async def test_a_topic_of_events_has_the_partitions_and_the_retention_of_the_url(
    here: World,
) -> None:
    topic, width = await here.topics.ensure(ORDER)
    assert (topic, width) == (f"{here.options.prefix}order", 3)
    assert await settings(here, topic) == {"cleanup.policy": "delete", "retention.ms": "172800000"}


async def test_what_a_group_tries_again_never_expires_and_lies_beside_its_events(
    here: World, kafka_url: str
) -> None:
    await here.topics.ensure(ORDER)
    async with world(kafka_url, here.options.prefix, partitions=7) as there:
        for address, tier, wanted in (
            # One at least for each of a few members: they pass on what another has a handler for.
            (Address("order", Purpose.RETRY, "billing"), "1h", 4),
            (Address("order", Purpose.REPLY, "billing"), "now", 3),
        ):
            topic, width = await there.topics.ensure(address, tier)
            assert width == wanted, "as the events have, whatever this process would make"
            assert await settings(there, topic) == {
                "cleanup.policy": "delete",
                "max.message.bytes": "1131072",
                "retention.bytes": "-1",
                "retention.ms": "-1",
            }


async def test_dead_letters_lie_in_one_partition_that_is_compacted(here: World) -> None:
    topic, width = await here.topics.ensure(Address("order", Purpose.DEAD, "billing"))
    assert width == 1
    said = await settings(here, topic)
    assert said == {"cleanup.policy": "compact", "max.message.bytes": "1131072"}


async def test_what_all_have_to_agree_on_is_compacted(here: World) -> None:
    await here.topics.ensure_meta()
    assert here.client.partitions(here.names.meta) == 1
    assert await settings(here, here.names.meta) == {"cleanup.policy": "compact"}


async def test_many_may_make_a_topic_at_once(here: World, kafka_url: str) -> None:
    async with (
        world(kafka_url, here.options.prefix, partitions=3) as two,
        world(kafka_url, here.options.prefix, partitions=3) as three,
    ):
        for number in range(5):
            address = Address(f"c{number}")
            asked = [each.topics.ensure(address) for each in (here, two, three) * 4]
            told = await asyncio.gather(*asked)
            assert set(told) == {(here.names.topic(address), 3)}
            for each in (here, two, three):
                leaders = each.client.leaders[here.names.topic(address)]
                assert all(leader >= 0 for leader in leaders.values())


async def test_where_none_is_to_be_made_the_error_says_how_to(here: World, kafka_url: str) -> None:
    letters = Address("order", Purpose.DEAD, "my group")
    async with world(
        kafka_url, here.options.prefix, create="never", replication=1, partitions=5
    ) as there:
        with pytest.raises(OptionError) as refusal:
            await there.topics.ensure(letters)
        topic = there.names.topic(letters)
        (server,) = there.options.servers
        assert (
            f"kafka-topics.sh --bootstrap-server {server} --create --topic '{topic}' "
            "--partitions 1 --replication-factor 1 --config cleanup.policy=compact"
        ) in str(refusal.value)
        await here.topics.ensure(letters)
        assert await there.topics.ensure(letters) == (topic, 1)


async def test_more_replicas_than_brokers_are_an_error_that_says_so(
    here: World, kafka_url: str
) -> None:
    async with world(kafka_url, here.options.prefix, replication=3) as there:
        with pytest.raises(TransportError, match=r"making topic '.*order' \(.*replicat") as refusal:
            await there.topics.ensure(ORDER)
        assert not refusal.value.retryable


async def test_brokers_that_have_just_come_up_are_waited_for(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they say then is what Kafka 4.1 says."""
    said = [(38, "Unable to replicate the partition 1 time(s): All brokers are currently fenced.")]
    create = here.topics._create

    async def fenced(topic: str, width: int, settings: dict[str, str]) -> tuple[int, str]:
        return said.pop() if said else await create(topic, width, settings)

    monkeypatch.setattr(here.topics, "_create", fenced)
    _, width = await here.topics.ensure(ORDER)
    assert width
    assert not said


async def test_two_names_that_are_one_to_kafka_are_an_error_that_names_the_other(
    here: World,
) -> None:
    await here.topics.ensure(Address("a.b"))
    with pytest.raises(TransportError, match="collides with existing topic"):
        await here.topics.ensure(Address("a_b"))


async def test_making_a_topic_that_nobody_waits_for_any_more_leaves_no_error_behind() -> None:
    """The runner of these tests raises what was never looked at."""
    gate = anyio.Event()

    class Away:
        timeout = 1.0

        async def refresh(self) -> None:
            await gate.wait()
            raise TransportError("nobody is there")

    client: Any = Away()
    topics = Topics(client, parse("kafka://nowhere"), Names("t."), lambda: None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(topics.ensure_named, "t.order", 1, {})
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    gate.set()
    while topics._making:
        await anyio.lowlevel.checkpoint()
    gc.collect()


async def test_a_connection_that_is_closed_while_a_topic_gets_its_leaders_is_no_failure(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The topic is there by then."""
    refresh, calls = here.client.refresh, list[int]()

    async def closed_once() -> None:
        calls.append(len(calls))
        if len(calls) == 2:
            raise TransportError("closed")
        await refresh()

    monkeypatch.setattr(here.client, "refresh", closed_once)
    topic, width = await here.topics.ensure(ORDER)
    assert (here.client.partitions(topic), width) == (3, 3)
    assert len(calls) >= 3


async def test_what_is_being_made_ends_with_the_transport(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would dial anew, with nobody to hang up."""
    asked = anyio.Event()

    async def fenced(*_: Any) -> tuple[int, str]:
        asked.set()
        return 38, "All brokers are currently fenced."

    monkeypatch.setattr(here.topics, "_create", fenced)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                with pytest.raises(TransportError, match="the transport was closed"):
                    await here.topics.ensure(ORDER)

            tasks.start_soon(wait)
            await asked.wait()
            await here.topics.close()
        with pytest.raises(TransportError, match="the transport was closed"):
            await here.topics.ensure(Address("another"))
    assert not here.topics._making


async def test_a_transport_that_is_left_makes_nothing_more(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = open_kafka(kafka_url, prefix=f"t{uuid.uuid4().hex[:8]}.")
    asked = anyio.Event()

    async def fenced(*_: Any) -> tuple[int, str]:
        asked.set()
        return 38, "All brokers are currently fenced."

    async with transport, anyio.create_task_group() as tasks:
        monkeypatch.setattr(transport.topics, "_create", fenced)
        tasks.start_soon(transport.topics.ensure, ORDER)
        await asked.wait()
        tasks.cancel_scope.cancel()
    assert not transport.topics._making
