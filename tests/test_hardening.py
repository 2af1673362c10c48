"""What an outsider found who tried to lose, block, or break: each was so once."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from busway import Actor, Backoff, Batch, Bus, Retry, RetryLater, on
from busway.errors import StateError
from busway.memory import MemoryTransport
from busway.testing import Flaky
from tests.facts import PATIENCE, Seen, noting, turns, until, up

pytestmark = pytest.mark.anyio


class Prickly(Exception):
    """An error that answers no question about itself."""

    def __getattr__(self, name: str) -> Any:
        raise LookupError(name)


async def test_a_batch_handler_that_publishes_into_its_own_full_group_does_not_wait() -> None:
    bus, seen = Bus("memory://?mailbox=2", publish_timeout=1.0), Seen()

    async def handle(batch: list[Any]) -> None:
        for each in batch:
            seen.add(each)
            if each == 0:
                for n in range(1, 7):
                    await bus.publish("a.b", n)

    bus.add(handle, "a.b", batch=Batch(1, within=0.01))
    async with up(bus):
        await bus.publish("a.b", 0)
        await seen.count(7)
    assert seen.items == list(range(7))


async def test_a_subscription_stopped_twice_leaves_its_successor_its_grace() -> None:
    bus, seen, entered, go = Bus(), Seen(), anyio.Event(), anyio.Event()

    async def handle(data: Any) -> None:
        entered.set()
        await go.wait()
        seen.add(data)

    first = bus.add(noting(seen), "a.b", group="g")
    with anyio.fail_after(PATIENCE):
        await bus.start()
        await first.stop()
        second = bus.add(handle, "a.b", group="g")
        await second.ready()
        await first.stop()
        await bus.publish("a.b", 1)
        await entered.wait()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.stop)
            await turns()
            go.set()
    assert seen.items == [1]


async def test_events_of_a_key_that_failed_in_one_batch_come_again_in_order() -> None:
    batches: list[list[Any]] = []
    done = Seen()
    # Drawn evenly from a wait each: without care the later ones would often come first.
    bus = Bus(retry=Retry(3, Backoff(first=0.02, jitter="full")))

    async def handle(batch: list[Any]) -> None:
        batches.append(batch)
        if len(batches) == 1:
            raise ValueError("not yet")
        for each in batch:
            done.add(each)

    bus.add(handle, "a.b", batch=Batch(8, within=0.05))
    async with up(bus):
        for n in range(8):
            await bus.publish("a.b", n, key="k")
        await until(lambda: len(batches) >= 1)
        await bus.publish("a.b", 8, key="k")
        await done.count(9)
    assert done.items == list(range(9))


async def test_two_requests_with_one_id_both_get_the_reply() -> None:
    bus, asked = Bus(), Seen()

    async def handle(data: Any) -> Any:
        asked.add(data)
        await asked.count(2)
        return "yes"

    bus.add(handle, "a.b", concurrency=2)
    got: list[Any] = []

    async def ask() -> None:
        got.append(await bus.request("a.b", 1, id="x", timeout=2))

    async with up(bus), anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        tasks.start_soon(ask)
    assert got == ["yes", "yes"]


class Quitter(Actor):
    def __init__(self, bus: Bus, when: str) -> None:
        self.bus, self.when = bus, when

    @on("a.b")
    async def handle(self, data: Any) -> None: ...

    async def on_start(self) -> None:
        if self.when == "start":
            await self.bus.stop()

    async def on_stop(self) -> None:
        if self.when == "stop":
            await self.bus.stop()


async def test_an_actor_that_stops_the_bus_at_its_start_does_not_wait_for_itself() -> None:
    bus = Bus()
    bus.add(Quitter(bus, "start"))
    with anyio.fail_after(PATIENCE), pytest.raises(StateError):
        await bus.start()


async def test_an_actor_that_stops_the_bus_at_its_end_does_not_wait_for_itself() -> None:
    bus = Bus()
    bus.add(Quitter(bus, "stop"))
    with anyio.fail_after(PATIENCE):
        await bus.start()
        await bus.stop()
    assert not bus.running


class NeverCloses(MemoryTransport):
    async def __aexit__(self, *exc: object) -> None:
        await anyio.sleep_forever()


async def test_a_transport_that_never_closes_does_not_hold_up_the_stop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("busway._host._CLOSING", 0.05)
    bus = Bus(NeverCloses())
    stopped = anyio.Event()

    async def stop() -> None:
        await bus.stop()
        stopped.set()

    with anyio.move_on_after(PATIENCE):
        await bus.start()
        await bus.stop()
        stopped.set()
    assert stopped.is_set()
    assert "did not close" in caplog.text


@pytest.mark.parametrize("batch", [None, Batch(1, within=0.01)])
async def test_an_error_that_cannot_be_looked_at_is_a_failure_like_any_other(
    batch: Batch | None,
) -> None:
    bus = Bus(retry=Retry(2, Backoff(0.0)))

    async def handle(data: list[Any]) -> None:
        raise Prickly

    async def one(data: Any) -> None:
        raise Prickly

    bus.add(one if batch is None else handle, "a.b", batch=batch, group="g")
    async with up(bus):
        await bus.publish("a.b", 1)
        await bus.drain()
        (letter,) = await bus.dead_letters("g").list()
    assert letter.kind == "Prickly"


async def test_a_retry_later_that_forgot_its_wait_is_a_failure_like_any_other() -> None:
    class Sloppy(RetryLater):
        def __init__(self) -> None:
            pass

    bus = Bus(retry=Retry(1))

    async def handle(data: Any) -> None:
        raise Sloppy

    bus.add(handle, "a.b", group="g")
    async with up(bus):
        await bus.publish("a.b", 1)
        await bus.drain()
        assert len(await bus.dead_letters("g").list()) == 1


def test_emit_does_not_raise_when_its_loop_was_thrown_away() -> None:
    bus = Bus()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(bus.start())
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    assert bus.emit("a.b", 1) is not None


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_trio_nursery_cancelled_in_a_handler_is_no_failure(anyio_backend: str) -> None:
    import trio

    bus, entered = Bus(retry=Retry(1)), anyio.Event()

    async def handle(data: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            entered.set()
            await trio.sleep_forever()

    bus.add(handle, "a.b", group="g")
    with anyio.fail_after(PATIENCE):
        await bus.start()
        await bus.publish("a.b", 1)
        await entered.wait()
        await bus.stop(grace=0)
    assert bus.stats().failed == 0
    assert bus.stats().dead == 0


async def test_what_may_be_for_an_unknown_member_is_not_acknowledged() -> None:
    inner = MemoryTransport()
    mine = Flaky(inner)
    bus, other, seen = Bus(mine), Bus(inner), Seen()
    bus.add(noting(Seen()), "a.b", group="g")
    theirs = other.add(noting(seen), "a.c", group="g")
    theirs.pause()  # so that the one receives it who has nothing for it
    async with up(bus), other:
        mine.fail("announce", times=1)
        await bus.publish("a.c", 1)
        await turns()
        theirs.resume()
        await until(lambda: len(seen.items) + bus.stats().unmatched > 0)
    assert seen.items == [1]


async def test_a_publisher_waiting_for_room_in_a_group_that_goes_away_goes_on() -> None:
    bus, kept = Bus("memory://?mailbox=1", publish_timeout=2.0), Seen()
    bus.add(noting(kept), "a.b")
    stuck = bus.add(noting(Seen()), "a.b", broadcast=True, group="live")
    async with up(bus):
        stuck.pause()
        published = 0

        async def publish() -> None:
            nonlocal published
            for n in range(50):
                await bus.publish("a.b", n)
                published += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(publish)
            await turns()
            assert published < 50
            await stuck.stop()
        await kept.count(50)
