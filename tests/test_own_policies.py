"""What ``dedupe=`` and ``timeout=`` of a subscription stand around."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from busway import Bus, TransportError
from busway.middleware import Claim, DedupeKey, MemoryStore
from tests.facts import Seen, letters, quick, turns, up

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("where", ["bus", "subscription"])
async def test_an_event_is_marked_as_handled_only_when_every_middleware_succeeded(
    where: str,
) -> None:
    """A commit that fails after the handler must be repeated, not taken for a duplicate."""
    commits, handled = Seen(), Seen()

    def committing(handler: Any) -> Any:
        async def commit(message: Any) -> Any:
            result = await handler(message)
            commits.add(message.attempt)
            if message.attempt == 1:
                raise ConnectionError("not committed")
            return result

        return commit

    outer, inner = ([committing], []) if where == "bus" else ([], [committing])
    bus = Bus(retry=quick(3), middleware=outer)

    @bus.subscribe("a.b", group="g", dedupe=MemoryStore(), middleware=inner)
    async def handle(data: Any) -> None:
        handled.add(data)

    async with up(bus):
        await bus.publish("a.b", 1)
        await bus.drain()
    assert handled.items == [1, 1]
    assert commits.items == [1, 2]


async def test_a_duplicate_is_acknowledged_without_the_handler() -> None:
    bus, seen = Bus(), Seen()

    @bus.subscribe("a.b", group="g", dedupe=MemoryStore())
    async def handle(data: Any) -> None:
        seen.add(data)

    async with up(bus):
        await bus.publish("a.b", 1, idempotency_key="once")
        await bus.publish("a.b", 2, idempotency_key="once")
        await bus.drain()
    assert seen.items == [1]


async def test_a_duplicate_of_what_is_being_handled_waits_without_using_an_attempt() -> None:
    bus, seen, entered, leave = Bus(retry=quick(1)), Seen(), anyio.Event(), anyio.Event()
    store = MemoryStore()

    @bus.subscribe("a.b", group="g", dedupe=store, concurrency=2)
    async def handle(data: Any) -> None:
        entered.set()
        await leave.wait()
        seen.add(data)

    async with up(bus):
        await bus.publish("a.b", 1, idempotency_key="once")
        await entered.wait()
        await bus.publish("a.b", 2, idempotency_key="once")
        await turns()
        assert await bus.dead_letters("g").list() == []
        leave.set()
        await bus.stop(grace=0.2)
    assert seen.items == [1]
    assert bus.stats().failed == 0


async def test_an_outage_of_the_store_dead_letters_nothing_and_keeps_the_order() -> None:
    bus, seen, away = Bus(retry=quick(1)), Seen(), Seen()

    class Store(MemoryStore):
        async def claim(self, key: DedupeKey, owner: str, lease: float, /) -> Claim:
            if len(away.items) < 3:
                away.add(key)
                raise TransportError("not reached")
            return await super().claim(key, owner, lease)

    @bus.subscribe("a.b", group="g", dedupe=Store(), concurrency=4)
    async def handle(data: Any) -> None:
        seen.add(data)

    async with up(bus):
        for number in range(20):
            await bus.publish("a.b", number, key="one")
        await bus.drain()
        assert await bus.dead_letters("g").list() == []
    assert seen.items == list(range(20))
    assert len(away.items) == 3
    assert bus.stats().failed == 0


async def test_the_timeout_is_innermost() -> None:
    """A middleware sees the TimeoutError of the handler it stands around."""
    told = Seen()

    def watching(handler: Any) -> Any:
        async def watch(message: Any) -> Any:
            try:
                return await handler(message)
            except TimeoutError as error:
                told.add(str(error))
                raise

        return watch

    bus = Bus(retry=quick(1), middleware=[watching])

    @bus.subscribe("a.b", group="g", timeout=0.01)
    async def hang(data: Any) -> None:
        await anyio.sleep_forever()

    async with up(bus):
        await bus.publish("a.b", 1)
        await letters(bus, "g", 1)
    assert len(told.items) == 1
