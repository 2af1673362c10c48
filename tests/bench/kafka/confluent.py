"""confluent-kafka: its synchronous consumer, driven from one thread. librdkafka fetches in threads
of its own."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

import msgspec
from confluent_kafka import Consumer

from tests.bench.brokers import busway
from tests.bench.brokers.events import Stopwatch, keyed
from tests.bench.kafka.place import place
from tests.bench.kafka.raw import COMMIT, READ, Document
from tests.bench.measure import quiet_heap

__all__ = ["consume"]

PATIENCE = 0.05
"""Seconds for which it waits for as many as were asked for."""


async def consume(url: str, count: int) -> float:
    """Of what Busway has written, decoded."""
    watch = Stopwatch(count // 10, count)
    await busway.fill(url, keyed(count + count // 10))
    quiet_heap()
    return await asyncio.to_thread(_loop, url, watch)


def _loop(url: str, watch: Stopwatch) -> float:
    where = place(url)
    reader: Any = Consumer(
        {
            "bootstrap.servers": where.servers,
            "group.id": where.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    reader.subscribe([where.topic])
    decode = msgspec.json.Decoder(Document).decode
    told = perf_counter()
    try:
        while not watch.seconds_each:
            found = reader.consume(READ, PATIENCE)
            for record in found:
                if record.error():
                    raise RuntimeError(str(record.error()))
                decode(record.value())
            watch.passed(len(found))
            if found and perf_counter() - told > COMMIT:
                reader.commit(asynchronous=False)
                told = perf_counter()
    finally:
        reader.close()
    return watch.seconds_each
