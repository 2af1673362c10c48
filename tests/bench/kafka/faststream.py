"""FastStream's broker for Kafka, with its logging switched off.

Its default commits after each message, which is slower by far than what stands here: the fastest of
its settings, which commits before the handler is called and so loses what a crash interrupts.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

import msgspec
from faststream import AckPolicy
from faststream.kafka import KafkaBroker

from tests.bench.brokers.events import Noted, Stopwatch, keyed
from tests.bench.brokers.pace import Latency, paced
from tests.bench.kafka import raw
from tests.bench.kafka.place import place
from tests.bench.measure import quiet_heap

__all__ = ["consume", "consume_batches", "consume_surely", "latency"]

BATCH = 500


async def fill(url: str, count: int) -> None:
    payloads = raw.packed(keyed(count))
    async with raw.producer(url, **raw.TUNED) as (writer, topic):
        for start in range(0, count, raw.MANY):
            await asyncio.gather(
                *[
                    await writer.send(topic, value, key)
                    for key, value in payloads[start : start + raw.MANY]
                ]
            )


async def _consume(url: str, count: int, watch: Stopwatch, handle: Any, **options: Any) -> float:
    where = place(url)
    await fill(url, count + count // 10)
    broker = KafkaBroker(where.servers, logger=None)
    broker.subscriber(where.topic, group_id=where.group, auto_offset_reset="earliest", **options)(
        handle
    )
    quiet_heap()
    async with broker:
        await broker.start()
        await watch.done.wait()
    return watch.seconds_each


async def _one_by_one(url: str, count: int, policy: AckPolicy) -> float:
    watch = Stopwatch(count // 10, count)

    async def handle(event: dict[str, Any]) -> None:
        watch.handled += 1
        if watch.handled == watch.next:
            watch.mark()

    return await _consume(url, count, watch, handle, ack_policy=policy)


async def consume(url: str, count: int) -> float:
    """One call of the handler for each event."""
    return await _one_by_one(url, count, AckPolicy.ACK_FIRST)


async def consume_surely(url: str, count: int) -> float:
    """The same at least once: each is committed when its handler has returned."""
    return await _one_by_one(url, count, AckPolicy.NACK_ON_ERROR)


async def consume_batches(url: str, count: int) -> float:
    """One call of the handler for up to five hundred events, and one commit."""
    watch = Stopwatch(count // 10, count)

    async def handle(events: list[dict[str, Any]]) -> None:
        watch.passed(len(events))

    return await _consume(url, count, watch, handle, batch=True, max_records=BATCH)


async def latency(url: str, rate: float, seconds: float) -> Latency:
    where = place(url)
    taken: list[float] = []

    async def handle(event: dict[str, Any]) -> None:
        taken.append(perf_counter() - event["at"])

    broker = KafkaBroker(where.servers, logger=None, enable_idempotence=True)
    broker.subscriber(
        where.topic, group_id=where.group, auto_offset_reset="earliest",
        ack_policy=AckPolicy.ACK_FIRST,
    )(handle)  # fmt: skip
    async with broker:
        await broker.start()

        async def send(event: Noted) -> None:
            await broker.publish(msgspec.structs.asdict(event), topic=where.topic)

        return await paced(send, taken, rate, seconds)
