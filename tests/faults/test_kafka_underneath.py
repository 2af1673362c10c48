"""What somebody does to Kafka while a bus is on it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator

import confluent_kafka
import pytest
from aiokafka.admin import NewPartitions, RecordsToDelete
from aiokafka.structs import TopicPartition

from busway import PublishError, PublishUnknown
from tests.faults._town import PATIENCE, Town, town
from tests.servers import KafkaServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    with started_or_skip(KafkaServer) as server:
        yield server


async def test_partitions_that_are_added_are_read_and_written(
    server: KafkaServer, request: pytest.FixtureRequest
) -> None:
    async with town(server, request) as here:
        await here.admin.create_partitions({here.topic: NewPartitions(4)})
        names = [f"n{number}" for number in range(40)]
        async with asyncio.timeout(PATIENCE):
            while len({*await _ends(here)} - {0}) < 2:
                await here.publish(*names[:20])
        await here.publish(*names)
        await here.handled(names)
        await here.at_the_end()


async def _ends(here: Town) -> list[int]:
    """Of each partition of the topic, where it ends."""
    client = confluent_kafka.Consumer(
        {"bootstrap.servers": here.kafka.servers, "group.id": "nobody"}
    )
    try:
        width = len(client.list_topics(here.topic, timeout=10).topics[here.topic].partitions)
        places = [confluent_kafka.TopicPartition(here.topic, number) for number in range(width)]
        return [
            n if client.get_watermark_offsets(place, timeout=10)[1] else 0
            for n, place in enumerate(places, 1)
        ]
    finally:
        client.close()


async def test_what_is_published_after_a_topic_was_deleted_and_made_anew_is_handled(
    server: KafkaServer, request: pytest.FixtureRequest
) -> None:
    """What lay in it is gone with it."""
    async with town(server, request) as here:
        await here.publish("second", "third")
        await here.handled(["second", "third"])
        await here.at_the_end()
        await here.admin.delete_topics([here.topic])
        async with asyncio.timeout(PATIENCE):
            while "after" not in here.seen:
                with contextlib.suppress(PublishError, PublishUnknown, TimeoutError):
                    await here.publish("after")
                    async with asyncio.timeout(1.0):
                        await here.handled(["after"])
        await here.publish("last")
        await here.handled(["last"])


async def test_what_was_removed_before_it_was_read_is_told_and_counted_and_the_rest_is_handled(
    server: KafkaServer, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """As by retention: the beginning of the log has moved past the group's place."""
    async with town(server, request) as here:
        await here.at_the_end()
        await here.subscription.stop()
        names = [f"n{number}" for number in range(10)]
        await here.publish(*names)
        place = TopicPartition(here.topic, 0)
        await here.admin.delete_records({place: RecordsToDelete(before_offset=6)})
        here.bus.add(here.handle, "red.*", group="see")
        await here.handled(names[5:])
        assert here.seen == ["first", *names[5:]]
        said = [each for each in caplog.records if "is there no more" in each.getMessage()]
        assert [each.levelno for each in said] == [logging.ERROR]
        assert here.bus.stats().transport["ghosts"] == 1
        await here.at_the_end()


async def test_what_a_transaction_took_back_is_not_handled_and_holds_nothing_up(
    server: KafkaServer, request: pytest.FixtureRequest
) -> None:
    """Its markers are no records, and the group's place goes past them."""
    async with town(server, request) as here:
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": server.servers, "transactional.id": here.topic}
        )
        await asyncio.to_thread(producer.init_transactions, 20)
        for name, keep in (("kept", True), ("taken back", False), ("kept too", True)):
            producer.begin_transaction()
            producer.produce(here.topic, value=_foreign(name), headers=[("content-type", CE)])
            end = producer.commit_transaction if keep else producer.abort_transaction
            await asyncio.to_thread(end, 20)
        await here.publish("last")
        await here.handled(["kept", "kept too", "last"])
        assert "taken back" not in here.seen
        await here.at_the_end()


CE = b"application/cloudevents+json"


def _foreign(name: str) -> bytes:
    event = f'{{"specversion":"1.0","id":"{name}","source":"x","type":"red.done",'
    return f'{event}"datacontenttype":"application/json","data":{{"name":"{name}"}}}}'.encode()


async def test_a_broker_that_is_killed_at_once_after_a_publish_has_it(
    server: KafkaServer, request: pytest.FixtureRequest
) -> None:
    """And the producer goes on under its numbers, or under a new name where they were lost."""
    async with town(server, request) as here:
        await here.publish("second")
        await asyncio.to_thread(server.restart, hard=True)
        async with asyncio.timeout(PATIENCE):
            while "third" not in here.seen:
                with contextlib.suppress(PublishError, PublishUnknown):
                    await here.publish("third")
                    await here.handled(["third"])
        assert [here.seen.count(name) for name in ("first", "second")] == [1, 1]
