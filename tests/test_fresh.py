"""Events that were just published go through a worker without a delivery, until somebody looks."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from busway import Bus, Retry, event
from busway._lanes import Lanes
from busway.message import Envelope
from busway.transport import Fresh

pytestmark = pytest.mark.anyio

MANY = 20


@event("fresh.happened", key="key")
class Happened(msgspec.Struct, frozen=True):
    number: int
    key: str = "k"


def fresh(*lanes: str | None) -> Fresh:
    events = [Envelope("t", number, "s", 1.0, lane) for number, lane in enumerate(lanes)]
    return Fresh(events, lambda envelope: "c")


def test_a_fresh_batch_is_the_sequence_of_its_deliveries() -> None:
    batch = fresh("a", None, "b")
    assert [d.content.data for d in batch] == [0, 1, 2]  # type: ignore[union-attr]
    assert [(d.lane, d.channel) for d in batch[:2]] == [("a", "c"), (None, "c")]
    assert batch[-1] is batch[2]
    with pytest.raises(IndexError):
        batch[3]


def test_a_delivery_is_made_when_it_is_looked_at_and_once() -> None:
    batch = fresh("a", "b")
    assert not batch.made
    assert batch[1] is batch[1]
    assert list(batch.made) == [batch[1]]


def test_another_worker_finds_the_lane_of_what_runs_closed() -> None:
    lanes = Lanes(2, 100)
    lanes.offer(fresh("a", "a", "b"))
    run = lanes.begin("first")
    assert run is not None
    next(run.events)
    taken = lanes.take("second")
    assert taken is not None
    assert taken.lane == "b"
    assert list(run.events) == []
    assert run.broken is not None
    following = lanes.after(run.broken)
    assert following is not None
    assert following.lane == "a"


def test_nothing_is_begun_beside_a_lane_that_runs() -> None:
    lanes = Lanes(2, 100)
    lanes.put(fresh("a"))
    assert lanes.take("first") is not None
    lanes.offer(fresh("a", "b"))
    assert lanes.begin("second") is None
    taken = lanes.take("second")
    assert taken is not None
    assert taken.lane == "b"


def test_what_a_broken_run_had_finished_waits_for_its_acknowledgement() -> None:
    lanes = Lanes(1, 100)
    lanes.offer(fresh(*"abcd"))
    run = lanes.begin("first")
    assert run is not None
    next(run.events)
    next(run.events)
    left = lanes.withdraw(lambda _: True)
    assert [d.lane for d in lanes.finished] == ["a"]
    assert run.broken is not None
    assert run.broken.lane == "b"
    assert [d.lane for d in left] == ["c", "d"]


def test_the_last_of_a_broken_run_leaves_its_lane_open() -> None:
    """Whoever looks next closes the lane of what runs, and it does not run any more."""
    lanes = Lanes(2, 100)
    lanes.offer(fresh("a"))
    run = lanes.begin("first")
    assert run is not None
    next(run.events)
    lanes.break_run()
    assert run.broken is not None
    assert lanes.after(run.broken) is None
    assert lanes.take("second") is None
    lanes.put(fresh("a"))
    assert lanes.take("second") is not None


def test_a_run_begins_with_nothing_of_what_its_worker_did_before() -> None:
    lanes = Lanes(2, 100)
    lanes.put(fresh("a"))
    assert lanes.take("first") is not None  # handled, with nobody beside it
    lanes.offer(fresh("b"))
    run = lanes.begin("first")
    assert run is not None
    assert list(run.events)
    lanes.run = None  # all of it was handled
    assert lanes.take("second") is None
    lanes.put(fresh("a"))
    assert lanes.take("second") is not None


def test_who_runs_something_without_a_lane_asks_before_it_goes_on_beside_a_run() -> None:
    lanes = Lanes(2, 100)
    lanes.put(fresh(None))
    assert lanes.take("first") is not None
    assert lanes.straight == "first"
    lanes.offer(fresh("a", "a"))
    assert lanes.begin("second") is not None
    assert lanes.straight is None


async def publish(bus: Bus, many: int = MANY) -> None:
    for number in range(many):
        await bus.publish(Happened(number))


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_failure_amid_fresh_events_is_retried_in_its_place(concurrency: int) -> None:
    bus, came, done = Bus("memory://", retry=Retry(attempts=2)), list[int](), anyio.Event()

    async def handle(happened: Happened) -> None:
        came.append(happened.number)
        if came.count(7) == 1 and happened.number == 7:
            raise ValueError
        if len(came) == MANY + 1:
            done.set()

    bus.add(handle, "fresh.*", concurrency=concurrency)
    async with bus:
        await publish(bus)
        with anyio.fail_after(10):
            await done.wait()
    assert came == [*range(8), *range(7, MANY)]
    assert bus.stats().handled == MANY


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_key_keeps_its_order_when_handlers_wait_amid_fresh_events(
    concurrency: int,
) -> None:
    bus, came, running, done = Bus("memory://"), list[int](), list[int](), anyio.Event()

    async def handle(happened: Happened) -> None:
        running.append(happened.number)
        assert len(running) == 1
        await anyio.lowlevel.checkpoint()
        running.clear()
        came.append(happened.number)
        if len(came) == MANY:
            done.set()

    bus.add(handle, "fresh.*", concurrency=concurrency)
    async with bus:
        await publish(bus)
        with anyio.fail_after(10):
            await done.wait()
    assert came == list(range(MANY))


async def test_a_pause_stops_a_run_after_what_runs() -> None:
    bus, came, done = Bus("memory://"), list[int](), anyio.Event()

    async def handle(happened: Happened) -> None:
        came.append(happened.number)
        if happened.number == 5:
            subscription.pause()
        if happened.number == MANY - 1:
            done.set()

    subscription = bus.add(handle, "fresh.*")
    async with bus:
        await publish(bus)
        await anyio.wait_all_tasks_blocked()
        assert came == list(range(6))
        subscription.resume()
        with anyio.fail_after(10):
            await done.wait()
    assert came == list(range(MANY))


async def test_what_is_finished_of_a_long_run_is_acknowledged_before_its_end() -> None:
    bus, amid, go = Bus("memory://"), anyio.Event(), anyio.Event()

    async def handle(happened: Happened) -> None:
        if happened.number == 9:
            amid.set()
            await go.wait()

    bus.add(handle, "fresh.*")
    async with bus:
        await publish(bus)
        with anyio.fail_after(10):
            await amid.wait()
            while bus.stats().handled < 9:
                await anyio.lowlevel.checkpoint()
        go.set()
    assert bus.stats().handled == MANY


async def test_what_a_cancelled_run_did_not_reach_comes_again() -> None:
    from busway.memory import MemoryTransport

    transport = MemoryTransport()
    came: list[Any] = []
    amid = anyio.Event()

    async def stuck(happened: Happened) -> None:
        came.append(happened.number)
        if happened.number == 9:
            amid.set()
            await anyio.sleep_forever()

    first = Bus(transport)
    first.add(stuck, "fresh.*", group="g")
    await first.start()
    await publish(first)
    with anyio.fail_after(10):
        await amid.wait()
        await first.stop(grace=0)
    again, done = list[int](), anyio.Event()

    async def handle(happened: Happened) -> None:
        again.append(happened.number)
        if happened.number == MANY - 1:
            done.set()

    second = Bus(transport)
    second.add(handle, "fresh.*", group="g")
    async with second:
        with anyio.fail_after(10):
            await done.wait()
    assert came == list(range(10))
    assert again == list(range(9, MANY))
