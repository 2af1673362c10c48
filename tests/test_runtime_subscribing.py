"""Subscribing and unsubscribing while the bus runs, from anywhere."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from busway import Bus, Subscription
from busway.errors import MissingPower, StateError, TransportError
from busway.memory import MemoryTransport
from busway.testing import Flaky
from tests.facts import Seen, noting, turns, until, up

pytestmark = pytest.mark.anyio


async def test_a_group_added_at_run_time_receives_once_it_is_ready() -> None:
    bus, seen = Bus(), Seen()
    async with up(bus):
        await bus.add(noting(seen), "a.b").ready()
        await bus.publish("a.b", 1)
        await seen.count(1)


async def test_a_further_handler_of_an_open_group_receives_too() -> None:
    bus, one, two = Bus(), Seen(), Seen()
    bus.add(noting(one), "a.one", group="g")
    async with up(bus):
        bus.add(noting(two), "a.two", group="g")
        await turns()
        await bus.publish("a.one", 1)
        await bus.publish("a.two", 2)
        await bus.drain()
    assert (one.items, two.items) == ([1], [2])


async def test_a_stopped_subscription_gets_nothing_more_and_others_of_its_group_go_on() -> None:
    bus, one, two = Bus(), Seen(), Seen()
    first = bus.add(noting(one), "a.one", group="g")
    bus.add(noting(two), "a.two", group="g")
    async with up(bus):
        await first.stop()
        await first.stop()
        await bus.publish("a.one", 1)
        await bus.publish("a.two", 2)
        await bus.drain()
    assert (one.items, two.items) == ([], [2])


async def test_stopping_the_last_of_a_group_waits_for_what_runs() -> None:
    bus, seen, entered, leave = Bus(), Seen(), anyio.Event(), anyio.Event()

    async def slow(data: Any) -> None:
        entered.set()
        await leave.wait()
        seen.add(data)

    subscription = bus.add(slow, "a.b")
    async with up(bus), anyio.create_task_group() as tasks:
        await bus.publish("a.b", 1)
        await entered.wait()
        tasks.start_soon(subscription.stop)
        await turns()
        leave.set()
    assert seen.items == [1]
    assert bus.stats().handled == 1


async def test_a_handler_can_stop_its_own_subscription() -> None:
    bus, seen = Bus(), Seen()

    async def once(data: Any) -> None:
        await subscription.stop()
        seen.add(data)

    subscription = bus.add(once, "a.b", group="g")
    async with up(bus):
        await bus.publish("a.b", 1)
        await bus.publish("a.b", 2)
        await until(lambda: not bus.stats().groups and seen.items == [1])
        await until(lambda: bus.stats().handled == 1)


async def test_a_handler_can_subscribe_another_which_is_caused_by_nothing() -> None:
    bus, seen = Bus(), Seen()
    added: list[Subscription] = []

    async def second(data: Any, message: Any) -> None:
        seen.add(message.envelope.causation_id)

    async def first(data: Any) -> None:
        added.append(bus.add(second, "a.second", group="second"))
        await added[0].ready()

    bus.add(first, "a.first")
    async with up(bus):
        await bus.publish("a.first", 1)
        await bus.drain()
        await bus.publish("a.second", 1)
        await seen.count(1)
        await added[0].stop()
    assert seen.items == [None]


async def test_a_group_that_cannot_be_opened_says_so_to_who_waits_and_the_bus_goes_on() -> None:
    transport = Flaky(MemoryTransport())
    bus, seen = Bus(transport), Seen()
    bus.add(noting(seen), "a.b", group="b")
    async with up(bus):
        transport.fail("listen")
        added = bus.add(noting(Seen()), "a.c", group="c")
        with pytest.raises(TransportError, match="injected"):
            await added.ready()
        await bus.publish("a.b", 1)
        await seen.count(1)


async def test_following_new_patterns_that_fails_is_logged_and_the_bus_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = Flaky(MemoryTransport())
    bus, seen = Bus(transport), Seen()
    bus.add(noting(seen), "a.b", group="g")
    async with up(bus):
        transport.fail("follow")
        bus.add(noting(Seen()), "a.c", group="g")
        await until(lambda: "following the patterns" in caplog.text)
        await bus.publish("a.b", 1)
        await seen.count(1)


class Rigid(MemoryTransport):
    """Its feeds have no power but to receive, ack and release."""

    @asynccontextmanager
    async def _listen(self, group: Any) -> Any:
        async with super()._listen(group) as feed:
            yield _Bare(feed)


class _Bare:
    def __init__(self, feed: Any) -> None:
        self.receive, self.ack, self.release = feed.receive, feed.ack, feed.release


async def test_an_open_group_whose_transport_cannot_follow_takes_no_more_handlers() -> None:
    bus, seen = Bus(Rigid(), service="s"), Seen()
    first = bus.add(noting(seen), "a.b", group="g")
    async with up(bus):
        with pytest.raises(MissingPower, match="Follows"):
            bus.add(noting(Seen()), "a.c", group="g")
        await bus.publish("a.b", 1)
        await seen.count(1)
        await first.stop()


async def test_a_subscription_stopped_while_it_is_being_opened_receives_nothing() -> None:
    transport = Flaky(MemoryTransport())
    bus, seen = Bus(transport), Seen()
    async with up(bus):
        gate = transport.hold("listen")
        added = bus.add(noting(seen), "a.b", group="b")
        await gate.reached()
        await added.stop()
        gate.open()
        with pytest.raises(StateError, match="closed before"):
            await added.ready()
        await bus.publish("a.b", 1)
        await bus.drain()
    assert seen.items == []


async def test_a_handler_added_while_its_group_is_being_opened_is_heard() -> None:
    transport = Flaky(MemoryTransport())
    bus, one, two = Bus(transport), Seen(), Seen()
    async with up(bus):
        gate = transport.hold("announce")
        added = bus.add(noting(one), "a.one", group="g")
        await gate.reached()
        bus.add(noting(two), "a.two", group="g")
        gate.open()
        await added.ready()
        await bus.publish("a.two", 2)
        await two.count(1)
