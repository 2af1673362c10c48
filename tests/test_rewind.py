"""A group's place, moved while nobody listens in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from busway import Bus
from busway.errors import MissingPower, OptionError, TransportError
from busway.memory import MemoryTransport
from busway.testing import PartitionedLog, VirtualClock
from busway.transport import Group, Transport
from tests.facts import Seen, noting, up

pytestmark = pytest.mark.anyio

KEEPING: list[Callable[[], Transport]] = [lambda: MemoryTransport(history=100), PartitionedLog]


@pytest.fixture(params=KEEPING, ids=["memory", "log"])
def transport(request: pytest.FixtureRequest) -> Transport:
    made: Transport = request.param()
    return made


def billing(transport: Transport, seen: Seen) -> Bus:
    bus = Bus(transport, service="shop")
    bus.add(noting(seen), "order.*", group="billing")
    return bus


async def handled(bus: Bus, *data: object) -> None:
    """Publish these, and have them handled."""
    async with up(bus):
        for each in data:
            await bus.publish("order.placed", each, key="o-1")
        await bus.drain()


async def test_a_bus_that_only_publishes_moves_a_group_that_is_not_its_own(
    transport: Transport,
) -> None:
    seen = Seen()
    await handled(billing(transport, seen), 1, 2)
    async with Bus(transport, service="tool", publish_only=True) as tool:
        await tool.rewind("billing", to="earliest")
    await handled(billing(transport, seen), 3)
    assert seen.items == [1, 2, 1, 2, 3]


async def test_a_group_is_moved_by_the_bus_that_has_taken_its_subscription_back(
    transport: Transport,
) -> None:
    seen, bus = Seen(), Bus(transport, service="shop")
    async with up(bus):
        subscription = bus.add(noting(seen), "order.*", group="billing")
        await subscription.ready()
        await bus.publish("order.placed", 1)
        await bus.drain()
        await subscription.stop()
        await bus.rewind("billing", to="earliest")
        await bus.add(noting(seen), "order.*", group="billing").ready()
        await seen.count(2)
    assert seen.items == [1, 1]


async def test_a_bus_that_starts_some_of_its_groups_moves_another(transport: Transport) -> None:
    mail, seen = Seen(), Seen()
    bus = billing(transport, seen)
    bus.add(noting(mail), "order.*", group="mail")
    await handled(bus, 1)
    await bus.start(only=["mail"])
    await bus.rewind("billing", to="earliest")
    await bus.stop()
    await handled(bus)
    assert (seen.items, mail.items) == ([1, 1], [1])


async def test_what_listens_is_not_moved(transport: Transport) -> None:
    bus = billing(transport, Seen())
    async with up(bus):
        with pytest.raises(TransportError, match="'billing' has members") as refusal:
            await bus.rewind("billing", to="earliest")
    assert not refusal.value.retryable


async def test_what_there_is_not_cannot_be_moved(transport: Transport) -> None:
    async with Bus(transport, service="tool") as bus:
        with pytest.raises(TransportError, match="no group 'billing'") as refusal:
            await bus.rewind("billing", to="earliest")
    assert not refusal.value.retryable


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (datetime(2026, 1, 1), r"to=datetime.datetime\(2026, 1, 1, 0, 0\) has no time zone"),
        ("yesterday", 'to=\'yesterday\': it takes "earliest", "latest" or a datetime'),
        (None, "to=None: it takes"),
        (timedelta(hours=-1), "it takes"),
        (0, "to=0: it takes"),
    ],
)
async def test_what_is_no_place_is_an_error_and_moves_nothing(
    transport: Transport, to: Any, said: str
) -> None:
    seen = Seen()
    await handled(billing(transport, seen), 1)
    async with Bus(transport, service="tool") as tool:
        with pytest.raises(OptionError, match=said):
            await tool.rewind("billing", to=to)
    await handled(billing(transport, seen))
    assert seen.items == [1]


async def test_a_transport_that_keeps_nothing_lacks_the_power() -> None:
    with pytest.raises(MissingPower, match=r"NullTransport cannot move groups \(power: Rewinds\)"):
        await Bus("null://").rewind("billing", to="earliest")


async def test_a_moment_has_whatever_zone(transport: Transport) -> None:
    seen = Seen()
    await handled(billing(transport, seen), 1)
    moment = datetime.now(timezone(timedelta(hours=-7)))
    await handled(billing(transport, seen), 2)
    async with Bus(transport, service="tool") as tool:
        await tool.rewind("billing", to=moment)
    await handled(billing(transport, seen))
    assert seen.items == [1, 2, 2]


async def test_what_waits_in_memory_and_history_has_no_more_is_not_lost() -> None:
    """History is bounded and a mailbox without a member is not: what waits is the older part."""
    seen, transport = Seen(), MemoryTransport(history=2)
    await handled(billing(transport, seen), 0)
    async with Bus(transport, service="tool") as tool:
        for n in range(1, 6):
            await tool.publish("order.placed", n, key="o-1")
        await tool.rewind("billing", to="earliest")
        await handled(billing(transport, seen))
        assert seen.items == [0, 1, 2, 3, 4, 5]
        await tool.publish("order.placed", 6)
        await tool.rewind("billing", to="latest")
    await handled(billing(transport, seen), 7)
    assert seen.items[6:] == [7]


async def test_what_was_due_before_a_group_is_moved_is_an_event_like_any_other() -> None:
    """Nobody listened when it was due."""
    clock = VirtualClock()
    transport = MemoryTransport(history=10, clock=clock)
    async with Bus(transport, service="tool", clock=clock) as tool:
        group = Group("billing", ("order.*",), lambda topic: topic.startswith("order."))
        async with transport.listen(group):
            await tool.publish("order.placed", "due", delay=60)
        await clock.advance(61)
        await tool.rewind("billing", to="latest")
        assert [state.lag for state in await tool.groups()] == [0]
        await tool.rewind("billing", to="earliest")
        assert [state.lag for state in await tool.groups()] == [1]
