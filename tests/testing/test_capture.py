"""What a test sees of a bus, and when it knows that all is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

import anyio
import msgspec
import pytest

from busway import (
    Backoff,
    Batch,
    Bus,
    Message,
    OptionError,
    PatternError,
    Reject,
    Retry,
    StateError,
    event,
)
from busway.memory import MemoryTransport
from busway.middleware import Handled, Hooks, Published, trace
from busway.testing import NotSettled, PartitionedLog, VirtualClock, capture
from busway.transport import Transport

__all__ = ["pytestmark"]

pytestmark = pytest.mark.anyio

HOURLY = Retry(attempts=4, backoff=Backoff(first=3600, cap=86_400, jitter="none"))


@event("captured.placed", key="id")
class Placed(msgspec.Struct, frozen=True):
    id: str


@event("captured.paid", key="id", channel="money")
class Paid(msgspec.Struct, frozen=True):
    id: str


@event("captured.typed")
class Typed(TypedDict):
    id: str


async def nothing(event: object) -> None: ...


def failing(times: int) -> Callable[[Placed], Any]:
    left = times

    async def fail(placed: Placed) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise ConnectionError("no answer")

    return fail


# --- what is noted


async def test_what_is_published_and_handled_is_noted() -> None:
    bus = Bus(service="shop")
    bus.add(nothing, "captured.*", group="billing")
    with capture(bus) as captured:
        async with bus:
            envelope = await bus.publish(Placed("o-1"))
            await captured.settled()
    (published,) = captured.published
    assert (published.envelope, published.channel) == (envelope, "captured")
    (handled,) = captured.handled
    assert (handled.envelope, handled.group, handled.attempt) == (envelope, "billing", 1)


@pytest.mark.parametrize("way", ["publish", "publish_many", "emit", "request"])
async def test_it_is_noted_whichever_way_it_was_published(way: str) -> None:
    bus = Bus(service="shop")
    bus.add(nothing, Placed)
    with capture(bus) as captured:
        async with bus:
            if way == "publish_many":
                await bus.publish_many([Placed("o-1")])
            elif way == "emit":
                bus.emit(Placed("o-1"))
            else:
                await getattr(bus, way)(Placed("o-1"))
            await captured.settled()
    assert captured.published.events == [Placed("o-1")]
    assert captured.handled.events == [Placed("o-1")]


async def test_a_batch_is_noted_event_by_event() -> None:
    bus = Bus(service="shop")

    @bus.subscribe(Placed, batch=Batch(2, within=60))
    async def take(placed: list[Placed]) -> None: ...

    with capture(bus) as captured:
        async with bus:
            await bus.publish_many([Placed("o-1"), Placed("o-2")])
            await captured.settled()
    assert captured.handled.events == [Placed("o-1"), Placed("o-2")]


async def test_retries_and_dead_letters_are_noted_with_their_errors() -> None:
    bus = Bus(service="shop", retry=Retry(attempts=2, backoff=Backoff(first=0.001)))
    bus.add(failing(9), Placed, group="billing")
    with capture(bus) as captured:
        async with bus:
            await bus.publish(Placed("o-1"))
            await captured.settled()
    (retried,) = captured.retried
    assert (retried.attempt, str(retried.error), retried.channel) == (1, "no answer", "captured")
    (dead,) = captured.dead_lettered
    assert (dead.attempts, dead.kind, dead.group) == (2, "ConnectionError", "billing")
    assert captured.dead_lettered.events == [Placed("o-1")]
    assert captured.handled == []


async def test_what_is_given_up_is_noted() -> None:
    bus = Bus(service="shop")

    @bus.subscribe(Placed, broadcast=True)
    async def refuse(placed: Placed) -> None:
        raise Reject("not today")

    with capture(bus) as captured:
        async with bus:
            await bus.publish(Placed("o-1"))
            await captured.settled()
    (dropped,) = captured.dropped
    assert "not today" in dropped.why


# --- while it is open


async def test_a_bus_that_runs_already_can_be_captured() -> None:
    """Also one whose publishes went the express way before, and handlers that were called bare."""
    bus = Bus(service="shop")
    bus.add(nothing, Placed)
    async with bus:
        await bus.publish(Placed("o-1"))
        await bus.drain()
        with capture(bus) as captured:
            await bus.publish(Placed("o-2"))
            await captured.settled()
    assert captured.published.events == [Placed("o-2")]
    assert captured.handled.events == [Placed("o-2")]


async def test_what_is_subscribed_meanwhile_is_captured_too() -> None:
    bus = Bus(service="shop")
    async with bus:
        with capture(bus) as captured:
            await bus.add(nothing, Placed).ready()
            await bus.publish(Placed("o-1"))
            await captured.settled()
    assert captured.handled.events == [Placed("o-1")]


async def test_nothing_is_noted_after_it_was_left() -> None:
    bus = Bus(service="shop")
    bus.add(nothing, Placed)
    async with bus:
        with capture(bus) as captured:
            pass
        await bus.publish(Placed("o-1"))
        await bus.drain()
    assert (len(captured.published), len(captured.handled)) == (0, 0)
    assert bus.stats().handled == 1


async def test_captures_may_overlap() -> None:
    bus = Bus(service="shop")
    bus.add(nothing, Placed)
    async with bus:
        with capture(bus) as outer:
            await bus.publish(Placed("o-1"))
            await outer.settled()
            with capture(bus) as inner:
                await bus.publish(Placed("o-2"))
                await inner.settled()
            await bus.publish(Placed("o-3"))
            await outer.settled()
    assert inner.handled.events == [Placed("o-2")]
    assert outer.handled.events == [Placed("o-1"), Placed("o-2"), Placed("o-3")]
    assert outer.published.events == outer.handled.events


async def test_the_hooks_of_the_bus_are_called_once_as_before() -> None:
    told: list[str] = []

    class Noting(Hooks):
        def published(self, details: Published, /) -> None:
            told.append("published")

        def handled(self, details: Handled, /) -> None:
            told.append("handled")

    bus = Bus(service="shop", middleware=[trace(Noting())])
    bus.add(nothing, Placed)
    async with bus:
        for _ in range(2):
            with capture(bus) as captured:
                await bus.publish(Placed("o-1"))
                await captured.settled()
        await bus.publish(Placed("o-2"))
        await bus.drain()
    assert told == ["published", "handled"] * 3


async def test_clear_forgets_what_was_noted() -> None:
    bus = Bus(service="shop")
    bus.add(nothing, Placed)
    with capture(bus) as captured:
        async with bus:
            await bus.publish(Placed("o-1"))
            await captured.settled()
            captured.clear()
            await bus.publish(Placed("o-2"))
            await captured.settled()
    assert captured.published.events == captured.handled.events == [Placed("o-2")]


# --- choosing


async def test_records_are_chosen_by_class_topic_key_channel_and_group() -> None:
    bus = Bus(service="shop")
    bus.add(nothing, "captured.*", group="billing")
    bus.add(nothing, Placed, group="mail")
    with capture(bus) as captured:
        async with bus:
            await bus.publish(Placed("o-1"))
            await bus.publish(Placed("o-2"))
            await bus.publish(Paid("o-1"))
            await bus.publish("captured.refunded", {"id": "o-1"}, key="o-1")
            await captured.settled()
    published = captured.published
    assert published.of(Paid).events == [Paid("o-1")]
    assert len(published.of(Paid, Placed)) == 3
    assert len(published.topic("captured.*")) == 4
    assert published.topic("*.p[al]*").key("o-1").events == [Placed("o-1"), Paid("o-1")]
    assert published.channel("money").events == [Paid("o-1")]
    assert captured.handled.group("mail").events == [Placed("o-1"), Placed("o-2")]
    assert captured.handled.group("billing").channel("money").events == [Paid("o-1")]
    assert captured.handled.where(lambda each: each.group == "mail").envelopes[0].key == "o-1"


async def test_a_class_chooses_what_was_decoded_too() -> None:
    bus = Bus("memory://?codec=json", service="shop")
    bus.add(nothing, "captured.*")
    with capture(bus) as captured:
        async with bus:
            await bus.publish(Placed("o-1"))
            await captured.settled()
    assert captured.handled.of(Placed).events == [Placed("o-1")]


async def test_a_choice_that_cannot_be_is_an_error_even_when_there_is_nothing() -> None:
    with capture(Bus()) as captured:
        with pytest.raises(PatternError):
            captured.published.topic("a..b")
        with pytest.raises(OptionError, match="topic"):
            captured.published.of(Typed)


# --- settled


@pytest.mark.parametrize(
    "transport", [MemoryTransport, PartitionedLog], ids=["memory", "partitioned log"]
)
async def test_settled_waits_for_what_handlers_publish(transport: type[Transport]) -> None:
    bus = Bus(transport(), service="shop")

    @bus.subscribe("chain.*", group="chain")
    async def follow(data: dict[str, int], message: Message[Any]) -> None:
        await anyio.sleep(0.001)
        if data["left"]:
            await message.publish("chain.link", {"left": data["left"] - 1})

    with capture(bus) as captured:
        async with bus:
            await bus.publish("chain.link", {"left": 5})
            await captured.settled()
            assert [each["left"] for each in captured.handled.events] == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    "transport", [MemoryTransport, PartitionedLog], ids=["memory", "partitioned log"]
)
async def test_settled_goes_through_hours_of_backoff_at_once(transport: type[Transport]) -> None:
    clock = VirtualClock()
    bus = Bus(transport(), service="shop", retry=HOURLY, clock=clock)
    bus.add(failing(3), Placed)
    with capture(bus) as captured:
        async with bus:
            begun = clock.time()
            await bus.publish(Placed("o-1"))
            await captured.settled()
            assert [each.after for each in captured.retried] == [3600, 7200, 14400]
            assert captured.handled.events == [Placed("o-1")]
            assert clock.time() - begun == 7 * 3600


async def test_settled_goes_through_retries_that_keep_their_lane() -> None:
    clock = VirtualClock()
    bus = Bus(service="shop", retry=HOURLY, clock=clock)
    bus.add(failing(2), Placed, order="key")
    with capture(bus) as captured:
        async with bus:
            await bus.publish_many([Placed("o-1"), Placed("o-1")])
            await captured.settled()
            assert [each.in_place for each in captured.retried] == [True, True]
            assert len(captured.handled) == 2


async def test_settled_goes_to_what_is_delayed_and_to_the_end_of_a_batch() -> None:
    clock = VirtualClock()
    bus = Bus(service="shop", clock=clock)

    @bus.subscribe(Placed, batch=Batch(100, within=600))
    async def take(placed: list[Placed]) -> None: ...

    with capture(bus) as captured:
        async with bus:
            begun = clock.time()
            await bus.publish(Placed("o-1"), delay=86_400)
            await captured.settled()
            assert captured.handled.events == [Placed("o-1")]
            assert clock.time() - begun == 87_000


async def test_with_later_false_what_waits_for_a_time_is_left_waiting() -> None:
    clock = VirtualClock()
    bus = Bus(service="shop", retry=HOURLY, clock=clock)
    bus.add(failing(1), Placed)
    with capture(bus) as captured:
        async with bus:
            await bus.publish(Placed("o-1"))
            await captured.settled(later=False)
            assert (len(captured.retried), len(captured.handled)) == (1, 0)
            await clock.advance(3599)
            await captured.settled(later=False)
            assert len(captured.handled) == 0
            await clock.advance(1)
            await captured.settled(later=False)
            assert len(captured.handled) == 1


async def test_settled_does_not_move_the_clock_while_a_handler_runs() -> None:
    clock = VirtualClock()
    bus = Bus(service="shop", clock=clock)
    seen: list[float] = []

    @bus.subscribe(Placed)
    async def slow(placed: Placed) -> None:
        await anyio.sleep(0.02)
        seen.append(clock.time())

    bus.add(nothing, Paid)
    with capture(bus) as captured:
        async with bus:
            begun = clock.time()
            await bus.publish(Paid("o-1"), delay=60)
            await bus.publish(Placed("o-1"))
            await captured.settled()
            assert seen == [begun]
            assert clock.time() == begun + 60


async def test_on_a_real_clock_retries_are_waited_for() -> None:
    bus = Bus(service="shop", retry=Retry(backoff=Backoff(first=0.02, jitter="none")))
    bus.add(failing(1), Placed)
    with capture(bus) as captured:
        async with bus:
            await bus.publish(Placed("o-1"))
            await captured.settled()
            assert len(captured.handled) == 1


async def test_what_lies_in_a_paused_group_is_not_waited_for() -> None:
    bus = Bus(service="shop", clock=VirtualClock())
    subscription = bus.add(nothing, Placed)
    with capture(bus) as captured:
        async with bus:
            subscription.pause()
            await bus.publish(Placed("o-1"))
            await captured.settled()
            assert len(captured.handled) == 0
            subscription.resume()
            await captured.settled()
            assert len(captured.handled) == 1


async def test_what_is_not_settled_in_time_is_named() -> None:
    bus = Bus(service="shop", retry=HOURLY)
    bus.add(failing(9), Placed, group="billing")
    running = anyio.Event()

    @bus.subscribe(Paid, group="slow")
    async def hang(paid: Paid) -> None:
        running.set()
        await anyio.sleep_forever()

    with capture(bus) as captured:
        async with bus:
            await bus.publish_many([Placed("o-1"), Paid("o-2")])
            await running.wait()
            with pytest.raises(NotSettled) as raised:
                await captured.settled(timeout=0.05)
            await bus.stop(grace=0)
    said = str(raised.value)
    assert "group 'billing': 1 waiting for their time" in said
    assert "captured.placed of key 'o-1': attempt 1 failed (ConnectionError: no answer)" in said
    assert "group 'slow': 1 running" in said
    assert "captured.paid of key 'o-2': attempt 1 runs" in said
    assert "VirtualClock" in said


async def test_a_bus_that_does_not_run_cannot_be_settled() -> None:
    with capture(Bus()) as captured, pytest.raises(StateError):
        await captured.settled()
