"""Two members, then three, then two again, while events come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import pairwise
from time import perf_counter
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from busway import Bus
from tests.bench.brokers.busway import PATTERN, publishing
from tests.bench.brokers.events import GROUP, KEYS, Keyed
from tests.bench.figures import Section
from tests.bench.kafka.place import fresh, place
from tests.bench.kafka.raw import Document
from tests.bench.measure import Settings, Spread, quiet_heap, run_on
from tests.servers import KafkaServer

__all__ = ["measure"]

RATE = 1_000.0
SECONDS, SECONDS_SHORT = 3.0, 0.7
"""Between two changes, and after the last."""
PATIENCE = 30.0

Handled = Callable[[int, Keyed], None]
Join = Callable[[str, Callable[[Any], None]], AbstractAsyncContextManager[None]]


class Seen(NamedTuple):
    silence: float
    """Seconds: the longest time in which nothing was handled anywhere."""
    longest: float
    """Seconds: what the event waited that waited longest."""
    duplicates: float
    """Per event."""


@asynccontextmanager
async def bus_member(url: str, handled: Callable[[Any], None]) -> AsyncIterator[None]:
    async def handle(event: Keyed) -> None:
        handled(event)

    bus = Bus(url, service="bench")
    bus.add(handle, PATTERN, group=GROUP, concurrency=100)
    async with bus:
        yield


@asynccontextmanager
async def raw_member(url: str, handled: Callable[[Any], None]) -> AsyncIterator[None]:
    """Commits every 100 ms, and what it has finished before it lets go of it."""
    where, decode = place(url), msgspec.json.Decoder(Document).decode
    sticky: Any = type("Sticky", (StickyPartitionAssignor,), {})
    reader = AIOKafkaConsumer(
        bootstrap_servers=where.servers,
        group_id=where.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        partition_assignment_strategy=(sticky,),
    )

    class Letting(ConsumerRebalanceListener):  # type: ignore[misc]
        async def on_partitions_revoked(self, revoked: object) -> None:
            if revoked:
                await reader.commit()

        async def on_partitions_assigned(self, assigned: object) -> None:
            pass

    async def read() -> None:
        while True:
            found = await reader.getmany(timeout_ms=100)
            for records in found.values():
                for record in records:
                    handled(decode(record.value).data)
            if found:
                await reader.commit()

    reader.subscribe([where.topic], listener=Letting())
    await reader.start()
    reading = asyncio.create_task(read())
    try:
        yield
    finally:
        reading.cancel()
        await asyncio.wait([reading])
        await reader.commit()
        await reader.stop()


async def changing(url: str, join: Join, seconds: float) -> Seen:
    """What came of it, from when both of the first two had something until all is handled."""
    sent: list[float] = []
    seen: list[tuple[float, float]] = []
    by_member: dict[int, int] = {}

    def counter(member: int) -> Callable[[Any], None]:
        by_member[member] = 0

        def handled(event: Any) -> None:
            by_member[member] += 1
            seen.append((event.at, perf_counter()))

        return handled

    async with publishing(url) as bus, AsyncExitStack() as two:
        sending = asyncio.create_task(steadily(bus.publish, sent))
        for member in (0, 1):
            await two.enter_async_context(join(url, counter(member)))
        await until(lambda: all(by_member.values()))
        quiet_heap()
        seen.clear()
        first = len(sent)
        await asyncio.sleep(seconds)
        async with join(url, counter(2)):
            await until(lambda: by_member[2] > 0)
            await asyncio.sleep(seconds)
        await asyncio.sleep(seconds)
        sending.cancel()
        await asyncio.wait([sending])
        sent.pop()  # which may not have arrived
        await until(lambda: {at for at, _ in seen}.issuperset(sent[first:]))
    return judged(seen)


async def steadily(send: Callable[[Keyed], Awaitable[object]], sent: list[float]) -> None:
    """A thousand a second, each of the keys in turn, until cancelled; late ones are not sent."""
    number = 0
    while True:
        now = perf_counter()
        sent.append(now)
        await send(Keyed(100_000 + number % KEYS, now))
        number += 1
        await asyncio.sleep(max(0.0, now + 1 / RATE - perf_counter()))


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not so():
            await asyncio.sleep(0.01)


def judged(seen: list[tuple[float, float]]) -> Seen:
    times = [when for _, when in seen]
    first: dict[float, float] = {}
    for at, when in seen:
        first.setdefault(at, when)
    return Seen(
        max(b - a for a, b in pairwise(times)),
        max(when - at for at, when in first.items()),
        len(seen) / len(first) - 1,
    )


def measure(section: Section, server: KafkaServer, settings: Settings) -> None:
    seconds = SECONDS_SHORT if settings.short else SECONDS
    members: dict[str, Join] = {"Busway": bus_member}
    if not settings.short:
        members = {"aiokafka, sticky": raw_member, **members}
    taken: dict[str, list[Seen]] = {name: [] for name in members}
    make = fresh(server)
    for repeat in range(settings.repeats):
        order = list(members.items())
        for name, join in order if repeat % 2 == 0 else reversed(order):
            taken[name].append(run_on("asyncio", changing, make(), join, seconds))
    what = "2, 3, 2 members at 1 k/s"
    for name, seen in taken.items():
        for which, values in (
            ("nothing was handled for", [each.silence for each in seen]),
            ("longest wait of an event", [each.longest for each in seen]),
        ):
            spread = Spread(tuple(1e3 * each for each in values))
            section.add((f"{what}: {which}", name, ""), spread, unit="ms")
        spread = Spread(tuple(each.duplicates for each in seen))
        section.add((f"{what}: duplicates per event", name, ""), spread)
