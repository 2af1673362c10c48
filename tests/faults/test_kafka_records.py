"""What lies in a topic is not what a bus alone would have written there, or not all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import confluent_kafka
import pytest

from tests.faults._town import PATIENCE, town
from tests.servers import KafkaServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

CE = b"application/cloudevents+json"


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    with started_or_skip(KafkaServer) as server:
        yield server


def event(name: str) -> bytes:
    begin = f'{{"specversion":"1.0","id":"{name}","source":"x","type":"red.done",'
    return f'{begin}"datacontenttype":"application/json","data":{{"name":"{name}"}}}}'.encode()


def produce(
    server: KafkaServer, topic: str, *records: tuple[bytes | None, bytes | None], codec: str = ""
) -> None:
    """By a client that is not ours: keys and values."""
    settings = {"bootstrap.servers": server.servers, "compression.type": codec or "none"}
    producer: Any = confluent_kafka.Producer({**settings, "linger.ms": 50})
    for key, value in records:
        producer.produce(topic, key=key, value=value, headers=[("content-type", CE)])
    assert producer.flush(PATIENCE) == 0


async def test_what_compaction_left_is_handled_in_order_and_gaps_hold_nothing_up(
    server: KafkaServer, request: pytest.FixtureRequest
) -> None:
    async with town(server, request) as here:
        await here.at_the_end()
        await here.subscription.stop()
        await here.configure(
            cleanup_policy="compact", segment_ms="100", min_cleanable_dirty_ratio="0.01"
        )
        # What is written last lies in a segment that is not compacted.
        keys = [f"k{number % 5}".encode() for number in range(20)]
        records = [(key, event(f"n{number}")) for number, key in enumerate(keys)]
        produce(server, here.topic, *records)
        await asyncio.sleep(0.2)  # no fact: that the segment is old enough
        produce(server, here.topic, (b"behind", event("behind")))
        left = [f"n{number}" for number in range(15, 20)]
        async with asyncio.timeout(PATIENCE):
            while (lies := await here.written()) != ["first", *left, "behind"]:
                assert len(lies) > 6, lies
        again = here.listens(here.bus)
        await here.handled([*left, "behind"])
        await here.publish("last")
        await here.handled(["last"])
        assert here.seen == ["first", *left, "behind", "last"]
        await here.at_the_end()
        await again.stop()


async def test_records_without_a_key_or_a_value_hold_nothing_up(
    server: KafkaServer, request: pytest.FixtureRequest
) -> None:
    """Without a value none is an event: it is set aside, whatever its key."""
    async with town(server, request) as here:
        produce(
            server,
            here.topic,
            (None, event("without a key")),
            (b"gone", None),
            (None, None),
            (b"", event("with an empty one")),
        )
        await here.publish("last")
        await here.handled(["without a key", "with an empty one", "last"])
        await here.at_the_end()
        letters = [letter async for letter in here.bus.dead_letters("see")]
        assert len(letters) == 2


@pytest.mark.parametrize("codec", ["lz4", "zstd", "snappy", "gzip"])
async def test_what_another_client_compressed_is_handled(
    server: KafkaServer, request: pytest.FixtureRequest, codec: str
) -> None:
    async with town(server, request) as here:
        names = [f"n{number}" for number in range(200)]
        produce(server, here.topic, *((b"one", event(name)) for name in names), codec=codec)
        await here.publish("last")
        await here.handled([*names, "last"])
        assert here.seen == ["first", *names, "last"]
        await here.at_the_end()
