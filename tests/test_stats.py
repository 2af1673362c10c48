"""What a bus says about itself agrees with what happened."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from busway import Bus, Message, Reject
from busway.errors import PublishError, PublishUnknown
from busway.memory import MemoryTransport
from busway.testing import Flaky, PartitionedLog
from tests.facts import Seen, letters, noting, quick, until, up

pytestmark = pytest.mark.anyio


async def test_each_event_is_counted_once_for_each_thing_that_happened_to_it() -> None:
    bus = Bus(retry=quick(3))

    @bus.subscribe("a.b", group="g")
    async def handle(data: Any, message: Message[Any]) -> None:
        if data == "rejected":
            raise Reject("no")
        if data == "hopeless" or (data == "second" and message.attempt == 1):
            raise ValueError("no")

    async with up(bus):
        for data in ("good", "second", "hopeless", "rejected"):
            await bus.publish("a.b", data)
        await letters(bus, "g", 2)
        await bus.drain()
        stats = bus.stats()
    assert stats.published == 4
    assert stats.handled == 2
    assert stats.failed == 1 + 3 + 1
    assert stats.retried == 1 + 2
    assert stats.dead == 2
    assert (stats.dropped, stats.unmatched, stats.lost) == (0, 0, 0)


async def test_what_was_not_sent_and_what_may_have_been_are_counted_apart() -> None:
    transport = Flaky(MemoryTransport())
    bus = Bus(transport)
    async with bus:
        transport.fail("send", how="refused")
        with pytest.raises(PublishError):
            await bus.publish("a.b", 1)
        transport.fail("send", how="lost")
        with pytest.raises(PublishUnknown):
            await bus.publish("a.b", 1)
        await bus.publish("a.b", 1)
    stats = bus.stats()
    assert (stats.published, stats.publish_failed, stats.publish_unknown) == (1, 1, 1)


async def test_what_the_transport_counts_stands_beside_what_the_bus_counts() -> None:
    bus = Bus(PartitionedLog(), service="shop")
    assert bus.stats().transport == {"appended": 0}
    async with bus:
        await bus.publish("a.b", 1)
    assert bus.stats().transport == {"appended": 1}


def test_a_transport_that_counts_nothing_reports_nothing() -> None:
    assert Bus().stats().transport == {}


async def test_groups_tell_what_is_in_flight_and_what_waits() -> None:
    bus, entered, leave = Bus(), Seen(), anyio.Event()

    @bus.subscribe("a.b", group="g", concurrency=2)
    async def handle(data: Any) -> None:
        entered.add(data)
        await leave.wait()

    (before,) = bus.stats().groups
    assert (before.name, before.open, before.in_flight) == ("g", False, 0)
    async with up(bus):
        await bus.publish("a.b", 1)
        await bus.publish("a.b", 2)
        await entered.count(2)
        (now,) = bus.stats().groups
        assert (now.open, now.paused, now.in_flight, now.waiting) == (True, False, 2, 0)
        leave.set()
        await bus.drain()
        await until(lambda: bus.stats().groups[0].in_flight == 0)
    assert bus.stats().state == "stopped"


async def test_replies_are_no_events_that_somebody_handled() -> None:
    bus = Bus()

    @bus.subscribe("ask")
    async def answer(data: int) -> int:
        return data

    async with up(bus):
        await bus.request("ask", 1)
        await bus.drain()
    assert bus.stats().handled == 1


def test_the_topology_names_every_subscription() -> None:
    bus = Bus(service="shop")
    bus.add(noting(Seen()), "order.*", "user.renamed", group="g", concurrency=4)
    bus.add(noting(Seen()), "**", group="all", broadcast=True)
    told = bus.topology()
    assert told.service == "shop"
    one, two = told.handlers
    assert (one.group, one.patterns, one.concurrency) == ("g", ("order.*", "user.renamed"), 4)
    assert one.channels == ("order", "user")
    assert (two.group, two.broadcast, two.channels) == ("all", True, None)
