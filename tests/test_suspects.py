"""What somebody had and never finished runs alone; what ends its processes is set aside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from busway import Batch, Bus, Message
from busway.memory import MemoryTransport
from busway.transport import Delivery, Group
from tests.facts import Seen, letters, noting, quick, turns, until, up

pytestmark = pytest.mark.anyio


class Blaming(MemoryTransport):
    """Says of some data that they were handed out before."""

    def __init__(self, blamed: dict[Any, int]) -> None:
        super().__init__()
        self.blamed = blamed

    @asynccontextmanager
    async def _listen(self, group: Group) -> AsyncIterator[Any]:
        async with super()._listen(group) as feed:
            take = feed.receive

            async def receive(limit: int, /) -> Sequence[Delivery]:
                batch = await take(limit)
                for delivery in batch:
                    delivery.delivered += self.blamed.pop(delivery.content.data, 0)
                return batch

            feed.receive = receive
            yield feed


@pytest.mark.parametrize("concurrency", [1, 2, 4])
async def test_a_suspect_runs_with_nothing_beside_it(concurrency: int) -> None:
    transport = Blaming({"suspect": 1})
    bus, seen = Bus(transport, retry=quick(3)), Seen()
    running: set[Any] = set()
    beside: list[set[Any]] = []

    @bus.subscribe("a.b", group="g", concurrency=concurrency)
    async def handle(data: Any, message: Message[Any]) -> None:
        running.add(data)
        for _ in range(5):
            if "suspect" in running:
                beside.append(set(running))
                (state,) = await bus.groups()
                assert state.pending == 1, "what is held when the process ends would be blamed, too"
            await anyio.lowlevel.checkpoint()
        running.discard(data)
        seen.add(data)

    async with up(bus):
        for n in range(10):
            await bus.publish("a.b", n)
        await bus.publish("a.b", "suspect")
        for n in range(10, 20):
            await bus.publish("a.b", n)
        await seen.count(21)
        await bus.drain()
    assert all(each == {"suspect"} for each in beside)
    assert beside
    assert sorted(map(str, seen.items)) == sorted(map(str, [*range(20), "suspect"]))


async def test_a_suspect_runs_without_the_retries_that_come_due_meanwhile() -> None:
    transport = Blaming({"suspect": 1})
    bus, seen = Bus(transport, retry=quick(50)), Seen()
    leave = anyio.Event()
    inside = False

    @bus.subscribe("a.b", group="g", concurrency=3)
    async def handle(data: Any, message: Message[Any]) -> None:
        nonlocal inside
        assert not inside, "beside the suspect"
        if data == "suspect":
            inside = True
            for _ in range(20):
                await anyio.sleep(0.002)  # longer than the failing one's backoff
            inside = False
            leave.set()
        elif not leave.is_set():
            raise ValueError("no")
        seen.add(data)

    async with up(bus):
        for n in range(5):
            await bus.publish("a.b", n, key=str(n % 2))
        await bus.publish("a.b", "suspect")
        await seen.count(6)
        await bus.drain()
    assert sorted(map(str, seen.items)) == ["0", "1", "2", "3", "4", "suspect"]
    assert await bus.dead_letters("g").list() == []


async def test_what_fails_while_a_suspect_waits_for_silence_is_given_back_first() -> None:
    transport = Blaming({"suspect": 1})
    bus, seen, entered, leave = Bus(transport, retry=quick(3)), Seen(), anyio.Event(), anyio.Event()

    @bus.subscribe("a.b", group="g", concurrency=2)
    async def handle(data: Any, message: Message[Any]) -> None:
        if data == "fails" and not leave.is_set():
            entered.set()
            await leave.wait()
            raise ValueError("no")
        seen.add((data, (await bus.groups())[0].pending))

    async with up(bus):
        await bus.publish("a.b", "fails")
        await entered.wait()
        await bus.publish("a.b", "suspect")
        (runner,) = bus._parts.groups.runners.values()
        await until(lambda: runner.consumer is not None and runner.consumer.crew.alone)
        leave.set()
        await seen.count(2)
    assert seen.items[0] == ("suspect", 1)


async def test_two_suspects_run_one_after_the_other() -> None:
    transport = Blaming(dict.fromkeys(range(6), 1))
    bus, seen = Bus(transport, retry=quick(3)), Seen()
    running = 0

    @bus.subscribe("a.b", group="g", concurrency=3)
    async def handle(data: Any) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await anyio.lowlevel.checkpoint()
        running -= 1
        seen.add(data)

    async with up(bus):
        for n in range(6):
            await bus.publish("a.b", n)
        await seen.count(6)
        await bus.drain()
    assert sorted(seen.items) == list(range(6))
    assert bus.stats().failed == 0


async def test_what_was_handed_out_too_often_is_set_aside_and_its_neighbours_are_handled() -> None:
    transport = Blaming({"poison": 3})
    bus, seen = Bus(transport, retry=quick(3)), Seen()
    bus.add(noting(seen), "a.b", group="g")
    async with up(bus):
        await bus.publish("a.b", 1)
        await bus.publish("a.b", "poison")
        await bus.publish("a.b", 2)
        (letter,) = await letters(bus, "g", 1)
        await bus.drain()
    assert seen.items == [1, 2]
    assert letter.envelope.data == "poison"
    assert (letter.kind, letter.attempts) == ("Crashed", 0)
    assert letter.first_failed is not None
    assert "handed out 4 times and never finished" in letter.verdict


async def test_a_suspect_that_fails_is_retried_like_any_other() -> None:
    transport = Blaming({"suspect": 1})
    bus, attempts = Bus(transport, retry=quick(3)), Seen()

    @bus.subscribe("a.b", group="g", concurrency=2)
    async def handle(data: Any, message: Message[Any]) -> None:
        attempts.add(message.attempt)
        raise ValueError("no")

    async with up(bus):
        await bus.publish("a.b", "suspect")
        (letter,) = await letters(bus, "g", 1)
    assert attempts.items == [1, 2, 3]
    assert letter.kind == "ValueError"


async def test_a_suspect_gives_back_what_is_collected_for_a_batch() -> None:
    transport = Blaming({"suspect": 1})
    bus, seen = Bus(transport, retry=quick(3)), Seen()

    @bus.subscribe("a.b", group="g", batch=Batch(3, within=3600))
    async def handle(data: list[Any]) -> None:
        seen.add((data, (await bus.groups())[0].pending))

    async with up(bus):
        await bus.publish("a.b", 1)
        await until(lambda: bus.stats().groups[0].in_flight == 1)
        await bus.publish("a.b", "suspect")
        await seen.count(1)
        await bus.publish("a.b", 2)
        await bus.publish("a.b", 3)
        await seen.count(2)
    assert seen.items == [(["suspect"], 1), ([1, 2, 3], 3)]


@pytest.mark.parametrize("concurrency", [2, 3])
async def test_a_stop_while_a_suspect_waits_for_silence_ends_it(concurrency: int) -> None:
    transport = Blaming({"suspect": 1})
    bus, seen, leave = Bus(transport, retry=quick(3)), Seen(), anyio.Event()

    @bus.subscribe("a.b", group="g", concurrency=concurrency)
    async def handle(data: Any) -> None:
        seen.add(data)
        if data == "slow":
            await leave.wait()

    async with up(bus), anyio.create_task_group() as tasks:
        await bus.publish("a.b", "slow")
        await seen.count(1)
        await bus.publish("a.b", "suspect")
        (runner,) = bus._parts.groups.runners.values()
        await until(lambda: runner.consumer is not None and runner.consumer.crew.alone)
        assert runner.consumer is not None
        tasks.start_soon(runner.consumer.stop_receiving)
        await turns()
        leave.set()
        await runner.ended.wait()
    assert seen.items == ["slow", "suspect"]
