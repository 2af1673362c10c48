"""Actors: state without locks, a life of their own, and a supervisor with bounded patience."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from busway import Actor, Bus, Message, Supervise, event, on
from busway.errors import GroupError, HandlerError, OptionError, Reject, RetryLater
from busway.memory import MemoryTransport
from tests.facts import PATIENCE, LeapingClock, Seen, letters, noting, quick, until, up

pytestmark = pytest.mark.anyio


@event("actor.counted", key="key")
class Counted(msgspec.Struct):
    key: str
    by: int = 1


class Counter(Actor):
    def __init__(self) -> None:
        self.life: list[str] = []
        self.totals: dict[str, int] = {}
        self.running = self.most = 0

    async def on_start(self) -> None:
        self.life.append("start")

    async def on_stop(self) -> None:
        self.life.append("stop")

    @on(Counted)
    async def count(self, event: Counted) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        before = self.totals.get(event.key, 0)
        await anyio.lowlevel.checkpoint()  # without one at a time an update would be lost here
        self.totals[event.key] = before + event.by
        self.running -= 1
        return self.totals[event.key]

    @on("actor.reset")
    async def reset(self, data: Any) -> None:
        self.totals.clear()


async def test_one_delivery_at_a_time() -> None:
    bus, counter = Bus(), Counter()
    bus.add(counter)
    async with up(bus):
        for n in range(50):
            await bus.publish(Counted(str(n % 3)))
    assert counter.most == 1
    assert sum(counter.totals.values()) == 50


async def test_with_concurrency_one_per_key() -> None:
    bus, counter = Bus(), Counter()
    bus.add(counter, concurrency=4)
    async with up(bus):
        for n in range(90):
            await bus.publish(Counted(str(n % 3)))
    assert 1 < counter.most <= 3
    assert counter.totals == {"0": 30, "1": 30, "2": 30}


async def test_its_methods_share_one_group_named_by_the_class() -> None:
    bus = Bus(service="shop")
    subscription = bus.add(Counter())
    assert subscription.group == "shop.Counter"
    assert set(subscription.patterns) == {"actor.counted", "actor.reset"}


async def test_on_start_is_before_the_first_event_and_on_stop_after_the_last() -> None:
    bus, counter = Bus(), Counter()
    order: list[str] = []

    class Loud(Counter):
        async def on_start(self) -> None:
            await anyio.sleep(0.01)
            order.append("start")

        @on("a.b")
        async def handle(self, data: Any) -> None:
            order.append("event")

        async def on_stop(self) -> None:
            order.append("stop")

    bus.add(Loud())
    async with up(bus):
        await bus.publish("a.b", 1)
    assert order == ["start", "event", "stop"]
    assert counter.life == []


async def test_an_on_start_that_raises_keeps_the_bus_from_starting() -> None:
    class Sour(Counter):
        async def on_start(self) -> None:
            raise ZeroDivisionError("sour")

    good = Counter()
    bus = Bus()
    bus.add(good)
    bus.add(Sour())
    with anyio.fail_after(PATIENCE), pytest.raises(ZeroDivisionError, match="sour"):
        await bus.start()
    assert bus.stats().state == "stopped"
    assert good.life in ([], ["start", "stop"])


async def test_an_actor_added_at_run_time_starts_and_stops() -> None:
    bus, counter = Bus(), Counter()
    async with up(bus):
        subscription = bus.add(counter)
        await subscription.ready()
        await bus.publish(Counted("a"))
        await bus.drain()
        assert counter.life == ["start"]
        await subscription.stop()
        assert counter.life == ["start", "stop"]
        await subscription.stop()
        await bus.publish(Counted("a"))
    assert counter.totals == {"a": 1}
    assert counter.life == ["start", "stop"]


async def test_an_actor_that_cannot_start_at_run_time_does_not_take_the_bus_with_it() -> None:
    class Sour(Counter):
        async def on_start(self) -> None:
            raise ZeroDivisionError("sour")

    bus, seen = Bus(), Seen()
    bus.add(noting(seen), "a.b")
    async with up(bus):
        subscription = bus.add(Sour())
        with pytest.raises(ZeroDivisionError, match="sour"):
            await subscription.ready()
        await bus.publish("a.b", 1)
        await seen.count(1)


async def test_an_actor_can_be_asked() -> None:
    bus = Bus()
    bus.add(Counter())
    async with up(bus):
        assert await bus.request(Counted("a", 5)) == 5
        assert await bus.request(Counted("a", 2)) == 7


def test_two_methods_of_equal_patterns_are_an_error_that_names_both() -> None:
    class Torn(Actor):
        @on("order.{placed,paid}")
        async def one(self, data: Any) -> None: ...

        @on("order.paid")
        async def two(self, data: Any) -> None: ...

    with pytest.raises(HandlerError, match="one and two both handle"):
        Bus().add(Torn())


def test_an_actor_that_handles_nothing_is_an_error() -> None:
    with pytest.raises(HandlerError, match="handles nothing"):
        Bus().add(Actor())


def test_an_actor_shares_its_group_with_nobody() -> None:
    bus = Bus()
    bus.add(Counter(), group="g")
    with pytest.raises(GroupError, match="an actor's"):
        bus.add(noting(Seen()), "a.b", group="g")
    bus.add(noting(Seen()), "a.b", group="h")
    with pytest.raises(GroupError, match="mailbox of its own"):
        bus.add(Counter(), group="h")


def test_patterns_stand_at_the_methods_and_supervise_goes_with_an_actor() -> None:
    with pytest.raises(OptionError, match="@on"):
        Bus().add(Counter(), "a.b")
    with pytest.raises(OptionError, match="Actor"):
        Bus().add(noting(Seen()), "a.b", supervise=Supervise())


class Fragile(Actor):
    def __init__(self) -> None:
        self.life: list[str] = []
        self.seen = Seen()
        self.start_fails = False

    async def on_start(self) -> None:
        self.life.append("start")
        if self.start_fails:
            raise RuntimeError("no start")

    async def on_stop(self) -> None:
        self.life.append("stop")

    @on("fragile.**")
    async def handle(self, data: Any, message: Message[Any]) -> None:
        self.seen.add((data, message.attempt))
        if isinstance(data, str):
            raise {"breaks": ValueError, "rejects": Reject}.get(data, lambda: RetryLater(0))()


async def test_restart_brackets_a_failure_and_the_event_is_retried() -> None:
    bus, actor = Bus(retry=quick(2)), Fragile()
    bus.add(actor, group="g", supervise=Supervise("restart", max_restarts=10))
    async with up(bus):
        await bus.publish("fragile.a", "breaks")
        await letters(bus, "g", 1)
        await bus.publish("fragile.a", 1)
        await bus.drain()
    assert actor.life == ["start", "stop", "start", "stop", "start", "stop"]
    assert actor.seen.items == [("breaks", 1), ("breaks", 2), (1, 1)]


async def test_what_the_actor_decides_itself_is_no_failure() -> None:
    bus, actor = Bus(retry=quick(2)), Fragile()
    bus.add(actor, group="g", supervise=Supervise("restart"))
    async with up(bus):
        await bus.publish("fragile.a", "rejects")
        await bus.publish("fragile.a", "later")
        await letters(bus, "g", 2)
        assert actor.life == ["start"]


async def test_more_restarts_than_allowed_within_the_time_stop_it() -> None:
    clock = LeapingClock()
    transport = MemoryTransport(clock=clock)
    bus, actor = Bus(transport, retry=quick(1), clock=clock), Fragile()
    bus.add(actor, group="g", supervise=Supervise("restart", max_restarts=2, within=60.0))
    async with up(bus):
        for n in (1, 2):
            await bus.publish("fragile.a", "breaks")
            await letters(bus, "g", n)
        clock.leap(61.0)  # those are forgotten
        for n in (3, 4):
            await bus.publish("fragile.a", "breaks")
            await letters(bus, "g", n)
        assert bus.running
        await bus.publish("fragile.a", "breaks")
        await until(lambda: actor.life.count("stop") == 5)
        await bus.publish("fragile.a", 6)
        (state,) = await bus.groups()
        assert state.members == 0
        assert state.lag in (1, 2)
    assert actor.life.count("start") == 5
    assert actor.life[-1] == "stop"
    assert (6, 1) not in actor.seen.items


async def test_stop_leaves_its_events_for_another_process() -> None:
    transport = MemoryTransport()
    one, two = Bus(transport, retry=quick(5)), Bus(transport)
    actor, seen = Fragile(), Seen()
    one.add(actor, group="g", supervise=Supervise("stop"))
    two.add(noting(seen), "fragile.**", group="g")
    async with up(one):
        await one.publish("fragile.a", "breaks")
        await one.publish("fragile.a", 2)
        await until(lambda: actor.life == ["start", "stop"])
        async with two:
            assert sorted(map(str, await seen.count(2))) == ["2", "breaks"]
    assert actor.seen.items == [("breaks", 1)]


async def test_a_restart_that_cannot_start_stops_it() -> None:
    bus, actor = Bus(retry=quick(1)), Fragile()
    bus.add(actor, group="g", supervise=Supervise("restart"))
    async with up(bus):
        actor.start_fails = True
        await bus.publish("fragile.a", "breaks")
        await until(lambda: not bus.stats().groups)
        assert bus.running


async def test_escalate_stops_the_whole_bus() -> None:
    bus, actor, other = Bus(retry=quick(5)), Fragile(), Counter()
    bus.add(actor, supervise=Supervise("escalate"))
    bus.add(other)
    with anyio.fail_after(PATIENCE):
        with pytest.raises(ValueError):  # noqa: PT011, PT012  the handler's own, out of the block
            async with bus:
                await bus.publish("fragile.a", "breaks")
                await until(lambda: not bus.running)
    assert other.life == ["start", "stop"]


@pytest.mark.parametrize("bad", [("reboot", 3, 60.0), ("restart", -1, 60.0), ("restart", 3, 0.0)])
def test_a_supervisor_that_cannot_work_is_refused(bad: Any) -> None:
    with pytest.raises(OptionError):
        Supervise(*bad)
