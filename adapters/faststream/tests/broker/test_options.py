"""What ``bus.subscribe`` can do, ``broker.subscriber`` can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from busway import Bus, Retry
from busway.middleware import Handler, MemoryStore
from busway_faststream import BusBroker, MessageDep
from tests.facts import PATIENCE, Seen, letters, quick, until

from .started import broker_on, started

__all__: list[str] = []

pytestmark = pytest.mark.anyio


async def test_events_of_different_keys_run_side_by_side_and_of_one_key_in_order() -> None:
    broker, seen, running = broker_on(), Seen(), Seen()
    go_on = anyio.Event()

    @broker.subscriber("order.*", group="billing", concurrency=2)
    async def handle(event: int, message: MessageDep) -> None:
        running.add(message.raw_message.key)
        if event == 0:
            await go_on.wait()
        seen.add((message.raw_message.key, event))

    async with started(broker):
        for number in range(2):
            for key in ("a", "b"):
                await broker.publish(number, "order.placed", key=key)
        assert sorted(await running.count(2)) == ["a", "b"]
        go_on.set()
    assert [each for each in seen.items if each[0] == "a"] == [("a", 0), ("a", 1)]
    assert [each for each in seen.items if each[0] == "b"] == [("b", 0), ("b", 1)]


async def test_a_duplicate_is_recognised() -> None:
    broker, seen = broker_on(), Seen()

    @broker.subscriber("order.*", group="billing", dedupe=MemoryStore())
    async def handle(event: int) -> None:
        seen.add(event)

    async with started(broker):
        for number in range(2):
            await broker.publish(number, "order.placed", id="same")
    assert seen.items == [0]


async def test_an_attempt_that_takes_too_long_has_failed() -> None:
    broker, seen = broker_on(), Seen()

    @broker.subscriber("order.*", group="billing", timeout=0.01, retry=quick(2))
    async def handle(event: int) -> None:
        seen.add(event)
        await anyio.sleep_forever()

    async with started(broker):
        await broker.publish(1, "order.placed")
        (letter,) = await letters(broker.bus, "billing", 1)
    assert seen.items == [1, 1]
    assert letter.kind == "TimeoutError"


async def test_a_policy_of_the_bus_stands_around_the_pipeline() -> None:
    broker, seen = broker_on(), Seen()

    def telling(handler: Handler) -> Callable[[Any], Any]:
        async def told(message: Any) -> Any:
            seen.add("before")
            return await handler(message)

        return told

    @broker.subscriber("order.*", group="billing", middleware=(telling,))
    async def handle(event: int) -> None:
        seen.add(event)

    async with started(broker):
        await broker.publish(1, "order.placed")
    assert seen.items == ["before", 1]


async def test_the_buss_own_policy_is_that_of_subscribers_without_one() -> None:
    broker, seen = broker_on(retry=quick(2)), Seen()

    @broker.subscriber("order.*", group="billing")
    async def handle(event: int) -> None:
        seen.add(event)
        raise ConnectionError

    async with started(broker):
        await broker.publish(1, "order.placed")
        await letters(broker.bus, "billing", 1)
    assert seen.items == [1, 1]


async def test_every_process_gets_a_broadcast() -> None:
    """Two buses on one transport are two processes."""
    shared, seen = Bus("memory://", service="shop"), Seen()
    brokers = [BusBroker(shared, logger=None)]
    brokers.append(BusBroker(Bus(shared.transport, service="shop"), logger=None))
    for number, broker in enumerate(brokers):

        @broker.subscriber("cache.*", group="caches", broadcast=True)
        async def drop(event: str, number: int = number) -> None:
            seen.add((number, event))

    with anyio.fail_after(PATIENCE):
        for broker in brokers:
            await broker.start()
        await brokers[0].publish("a", "cache.dropped")
        await seen.count(2)
        for broker in brokers:
            await broker.stop()
    assert sorted(seen.items) == [(0, "a"), (1, "a")]


async def test_a_group_begins_where_it_is_told() -> None:
    broker, seen = BusBroker("memory://?history=10", service="shop", logger=None), Seen()
    async with started(broker):
        await broker.publish(1, "order.placed")
        for group, start in (("all", "earliest"), ("new", "latest")):
            subscriber = broker.subscriber("order.*", group=group, start=start)  # type: ignore[arg-type]

            async def handle(event: int, message: MessageDep) -> None:
                seen.add((message.raw_message.group, event))

            subscriber(handle)
            await subscriber.start()
        await broker.publish(2, "order.placed")
        await until(lambda: len(seen.items) == 3)
    assert sorted(seen.items) == [("all", 1), ("all", 2), ("new", 2)]


async def test_a_delayed_event_comes_when_it_is_due() -> None:
    broker, seen = broker_on(), Seen()

    @broker.subscriber("order.*", retry=Retry(attempts=1))
    async def handle(event: str) -> None:
        seen.add(event)

    async with started(broker):
        await broker.publish("late", "order.placed", delay=0.05)
        await broker.publish("soon", "order.placed")
        await seen.count(2)
    assert seen.items == ["soon", "late"]
