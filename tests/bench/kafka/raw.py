"""aiokafka as its documentation writes it, and set so that it loses nothing: idempotent, all
replicas, offsets committed after the work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import perf_counter
from typing import Any
from uuid import uuid4

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.bench.brokers import busway
from tests.bench.brokers.events import Item, Keyed, Noted, Stopwatch, keyed
from tests.bench.brokers.pace import Latency, paced
from tests.bench.kafka.place import PARTITIONS, place
from tests.bench.measure import quiet_heap

__all__ = [
    "Document",
    "batches",
    "consume",
    "consume_and_call",
    "latency",
    "packed",
    "publish",
    "publish_tasks",
    "publish_tasks_documents",
    "publish_tasks_tuned",
    "send",
    "send_documents",
    "send_tuned",
]

MANY = 1_000
READ = 500
COMMIT = 0.1
"""Seconds between two commits."""
TUNED = {"max_batch_size": 262_144}

Loop = Callable[[Any, Stopwatch], Awaitable[None]]


class Document(msgspec.Struct):
    """The envelope as it travels, with its event."""

    id: str
    source: str
    type: str
    time: str
    data: Item
    subject: str | None = None
    specversion: str = "1.0"
    datacontenttype: str = "application/json"
    partitionkey: str | None = None


_decoder = msgspec.json.Decoder(Document)


def packed(events: Sequence[Keyed]) -> list[tuple[bytes, bytes]]:
    """Keys and values, made beforehand."""
    return [(str(each.number).encode(), msgspec.json.encode(each)) for each in events]


def document(each: Keyed) -> tuple[bytes, bytes]:
    """Key and value of the same document that Busway writes."""
    key = str(each.number)
    moment = datetime.now(UTC).isoformat()
    made = Document(str(uuid4()), "bench", "bench.counted", moment, each, key, partitionkey=key)
    return key.encode(), msgspec.json.encode(made)


@asynccontextmanager
async def producer(url: str, **options: Any) -> AsyncIterator[tuple[Any, str]]:
    where = place(url)
    made = AIOKafkaProducer(
        bootstrap_servers=where.servers, enable_idempotence=True, acks="all", **options
    )
    async with made:
        await made.partitions_for(where.topic)
        yield made, where.topic


async def warm(writer: Any, topic: str) -> None:
    """Every partition has been written to once."""
    for number in range(PARTITIONS):
        await writer.send_and_wait(topic, b"", partition=number)


@asynccontextmanager
async def consumer(url: str) -> AsyncIterator[Any]:
    where = place(url)
    made = AIOKafkaConsumer(
        where.topic,
        bootstrap_servers=where.servers,
        group_id=where.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    async with made:
        yield made


# --- consuming


async def loop(reader: Any, watch: Stopwatch) -> None:
    """The loop all are measured by: it decodes, counts, and calls nobody."""
    decode = _decoder.decode
    told = perf_counter()
    while not watch.done.is_set():
        found = await reader.getmany(timeout_ms=1_000, max_records=READ)
        for records in found.values():
            for record in records:
                decode(record.value)
            watch.passed(len(records))
        if perf_counter() - told > COMMIT:
            await reader.commit()
            told = perf_counter()


async def calling_loop(reader: Any, watch: Stopwatch) -> None:
    """The same, but every event is given to a handler."""

    async def handle(event: Item) -> None:
        watch.handled += 1
        if watch.handled == watch.next:
            watch.mark()

    decode = _decoder.decode
    told = perf_counter()
    while not watch.done.is_set():
        found = await reader.getmany(timeout_ms=1_000, max_records=READ)
        for records in found.values():
            for record in records:
                await handle(decode(record.value).data)
        if perf_counter() - told > COMMIT:
            await reader.commit()
            told = perf_counter()


async def _consume(url: str, count: int, how: Loop) -> float:
    """Of what Busway has written."""
    watch = Stopwatch(count // 10, count)
    await busway.fill(url, keyed(count + count // 10))
    async with consumer(url) as reader:
        quiet_heap()
        await how(reader, watch)
    return watch.seconds_each


async def consume(url: str, count: int) -> float:
    return await _consume(url, count, loop)


async def consume_and_call(url: str, count: int) -> float:
    return await _consume(url, count, calling_loop)


# --- publishing


async def publish(url: str, count: int) -> float:
    """One task that awaits each."""
    payloads = packed(keyed(count))
    async with producer(url) as (writer, topic):
        await warm(writer, topic)
        quiet_heap()
        started = perf_counter()
        for key, value in payloads:
            await writer.send_and_wait(topic, value, key)
        return (perf_counter() - started) / count


async def publish_tasks(url: str, count: int, tasks: int, **options: Any) -> float:
    """Many tasks, each of which awaits each of its own."""
    payloads = packed(keyed(count))

    async def work(writer: Any, topic: str, first: int) -> None:
        for key, value in payloads[first::tasks]:
            await writer.send_and_wait(topic, value, key)

    async with producer(url, **options) as (writer, topic):
        await warm(writer, topic)
        quiet_heap()
        started = perf_counter()
        async with asyncio.TaskGroup() as group:
            for first in range(tasks):
                group.create_task(work(writer, topic, first))
        return (perf_counter() - started) / count


async def publish_tasks_documents(url: str, count: int, tasks: int) -> float:
    """The same, where each makes and encodes the document of its event."""
    events = keyed(count)

    async def work(writer: Any, topic: str, first: int) -> None:
        for each in events[first::tasks]:
            key, value = document(each)
            await writer.send_and_wait(topic, value, key)

    async with producer(url) as (writer, topic):
        await warm(writer, topic)
        quiet_heap()
        started = perf_counter()
        async with asyncio.TaskGroup() as group:
            for first in range(tasks):
                group.create_task(work(writer, topic, first))
        return (perf_counter() - started) / count


async def publish_tasks_tuned(url: str, count: int, tasks: int) -> float:
    return await publish_tasks(url, count, tasks, **TUNED)


async def send(url: str, count: int, **options: Any) -> float:
    """A thousand at a time, each of which is awaited when all are sent."""
    payloads = packed(keyed(count))
    async with producer(url, **options) as (writer, topic):
        await warm(writer, topic)
        quiet_heap()
        started = perf_counter()
        for start in range(0, count, MANY):
            futures = [
                await writer.send(topic, value, key)
                for key, value in payloads[start : start + MANY]
            ]
            await asyncio.gather(*futures)
        return (perf_counter() - started) / count


async def send_documents(url: str, count: int) -> float:
    """The same, where each makes and encodes the document of its event."""
    events = keyed(count)
    async with producer(url) as (writer, topic):
        await warm(writer, topic)
        quiet_heap()
        started = perf_counter()
        for start in range(0, count, MANY):
            futures: list[Any] = []
            for each in events[start : start + MANY]:
                key, value = document(each)
                futures.append(await writer.send(topic, value, key))
            await asyncio.gather(*futures)
        return (perf_counter() - started) / count


async def send_tuned(url: str, count: int) -> float:
    return await send(url, count, **TUNED)


async def batches(url: str, count: int) -> float:
    """A thousand at a time by the API for batches, dealt to the partitions by nobody's key."""
    payloads = packed(keyed(count))
    each = MANY // PARTITIONS
    async with producer(url, **TUNED) as (writer, topic):
        await warm(writer, topic)
        quiet_heap()
        started = perf_counter()
        for start in range(0, count, MANY):
            futures: list[Any] = []
            for number in range(PARTITIONS):
                first = start + number * each
                batch = writer.create_batch()
                for key, value in payloads[first : first + each]:
                    batch.append(key=key, value=value, timestamp=None)
                futures.append(await writer.send_batch(batch, topic, partition=number))
            await asyncio.gather(*futures)
        return (perf_counter() - started) / count


# --- latency


async def latency(url: str, rate: float, seconds: float) -> Latency:
    """From before ``send_and_wait`` to the record decoded by a waiting loop."""
    taken: list[float] = []
    decode = msgspec.json.Decoder(Noted).decode
    async with producer(url) as (writer, topic), consumer(url) as reader:

        async def read() -> None:
            told = perf_counter()
            while True:
                found = await reader.getmany(timeout_ms=1_000)
                for records in found.values():
                    for record in records:
                        taken.append(perf_counter() - decode(record.value).at)
                if perf_counter() - told > COMMIT:
                    await reader.commit()
                    told = perf_counter()

        async def write(event: Noted) -> None:
            await writer.send_and_wait(topic, msgspec.json.encode(event))

        reading = asyncio.create_task(read())
        try:
            return await paced(write, taken, rate, seconds)
        finally:
            reading.cancel()
            await asyncio.wait([reading])
