"""Groups: who shares events with whom, and what members that differ do about it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from busway import Batch, Bus
from busway.errors import GroupError, StateError
from busway.memory import MemoryTransport
from busway.middleware import Hooks, trace
from tests.facts import Seen, noting, quick, up

pytestmark = pytest.mark.anyio


async def charge(data: Any) -> None: ...


async def test_every_group_gets_every_event_and_inside_a_group_one_handler_does() -> None:
    bus, billing, mail = Bus(), Seen(), Seen()
    bus.add(noting(billing), "a.b", group="billing")
    bus.add(noting(billing), "a.b", group="billing")
    bus.add(noting(mail), "a.b", group="mail")
    async with up(bus):
        for n in range(10):
            await bus.publish("a.b", n)
        await bus.drain()
    assert billing.items == list(range(10))
    assert mail.items == list(range(10))


async def test_equal_patterns_compete_and_take_turns() -> None:
    bus, one, two = Bus(), Seen(), Seen()
    bus.add(noting(one), "a.*", group="g")
    bus.add(noting(two), "a.*", group="g")
    async with up(bus):
        for n in range(10):
            await bus.publish("a.b", n)
        await bus.drain()
    assert one.items == [0, 2, 4, 6, 8]
    assert two.items == [1, 3, 5, 7, 9]


async def test_the_most_specific_pattern_gets_the_event() -> None:
    bus = Bus()
    seen = {pattern: Seen() for pattern in ("**", "order.*", "order.placed")}
    for pattern, each in seen.items():
        bus.add(noting(each), pattern, group="g")
    async with up(bus):
        for topic in ("order.placed", "order.paid", "user.renamed"):
            await bus.publish(topic, topic)
        await bus.drain()
    assert seen["order.placed"].items == ["order.placed"]
    assert seen["order.*"].items == ["order.paid"]
    assert seen["**"].items == ["user.renamed"]


async def test_a_group_has_one_feed_however_many_handlers() -> None:
    transport = MemoryTransport()
    bus = Bus(transport)
    for n in range(5):
        bus.add(noting(Seen()), f"a.{n}", group="g")
    async with bus:
        (state,) = await bus.groups()
        assert (state.name, state.members) == ("g", 1)


def test_the_default_group_is_the_services_name_and_the_handlers() -> None:
    assert Bus(service="shop").add(charge, "a.b").group == "shop.charge"


def test_two_handlers_whose_default_groups_collide_are_an_error_that_names_both_places() -> None:
    bus = Bus(service="shop")

    def make() -> Any:
        async def charge(data: Any) -> None: ...

        return charge

    bus.add(make(), "a.b")
    with pytest.raises(
        GroupError,
        match=r"default group 'shop\..*charge'.*test_groups\.py:\d+.*test_groups\.py:\d+",
    ):
        bus.add(make(), "a.c")


def test_one_handler_may_be_added_twice() -> None:
    class Shop:
        async def charge(self, data: Any) -> None: ...

    bus, shop = Bus(), Shop()
    bus.add(shop.charge, "a.b")
    bus.add(shop.charge, "a.c")
    assert len(bus.topology().handlers) == 2


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"concurrency": 2}, {"concurrency": 3}),
        ({"broadcast": True}, {}),
        ({"start": "latest"}, {"start": "earliest"}),
        ({"batch": Batch(2)}, {"batch": Batch(2)}),
        ({"batch": Batch(2)}, {}),
    ],
)
def test_settings_that_contradict_each_other_are_an_error_that_names_both(
    one: dict[str, Any], two: dict[str, Any]
) -> None:
    bus = Bus()

    async def first(data: list[Any]) -> None: ...

    async def second(data: list[Any]) -> None: ...

    async def first_single(data: Any) -> None: ...

    async def second_single(data: Any) -> None: ...

    bus.add(first if "batch" in one else first_single, "a.b", group="g", **one)
    with pytest.raises(GroupError, match=r"'g'.*second.*first"):
        bus.add(second if "batch" in two else second_single, "a.c", group="g", **two)
    assert len(bus.topology().handlers) == 1


def test_a_setting_that_only_one_names_holds_for_the_group() -> None:
    bus = Bus()
    bus.add(noting(Seen()), "a.b", group="g")
    bus.add(noting(Seen()), "a.c", group="g", concurrency=4)
    assert {handler.concurrency for handler in bus.topology().handlers} == {4}


async def test_a_group_that_is_open_cannot_change_its_concurrency() -> None:
    bus = Bus()
    bus.add(noting(Seen()), "a.b", group="g")
    async with bus:
        with pytest.raises(GroupError, match="open with concurrency=1"):
            bus.add(noting(Seen()), "a.d", group="g", concurrency=4)
        with pytest.raises(GroupError, match="order"):
            bus.add(noting(Seen()), "a.d", group="g", order="key")


def test_a_bus_that_only_publishes_takes_no_subscriptions() -> None:
    with pytest.raises(StateError, match="publish_only"):
        Bus(publish_only=True).add(noting(Seen()), "a.b")


class Dropping(Hooks):
    def __init__(self) -> None:
        self.dropped_: list[Any] = []

    def dropped(self, details: Any) -> None:
        self.dropped_.append(details)


async def test_members_with_different_patterns_are_logged_as_an_error_that_names_both(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = MemoryTransport()
    one, two = Bus(transport, service="s"), Bus(transport, service="s")
    one.add(noting(Seen()), "order.placed", group="g")
    two.add(noting(Seen()), "order.paid", group="g")
    async with one, two:
        pass
    (said,) = [r.getMessage() for r in caplog.records if "should have the same" in r.getMessage()]
    assert "order.placed" in said
    assert "order.paid" in said
    assert one._parts.instance in said


async def test_members_with_equal_patterns_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    transport = MemoryTransport()
    one, two = Bus(transport, service="s"), Bus(transport, service="s")
    one.add(noting(Seen()), "a.b", "a.c", group="g")
    two.add(noting(Seen()), "a.c", "a.b", group="g")
    async with one, two:
        pass
    assert "should have the same" not in caplog.text


async def test_an_event_that_only_another_member_matches_reaches_it() -> None:
    """The other joined a moment ago: what the first knew of its members is old."""
    transport = MemoryTransport()
    one, two = Bus(transport, service="s"), Bus(transport, service="s")
    placed, paid = Seen(), Seen()
    one.add(noting(placed), "order.placed", group="g")
    two.add(noting(paid), "order.paid", group="g")
    async with up(one), two:
        for n in range(20):
            await one.publish("order.placed", n)
            await two.publish("order.paid", n)
        await placed.count(20)
        await paid.count(20)
    assert sorted(placed.items) == sorted(paid.items) == list(range(20))
    assert one.stats().unmatched == two.stats().unmatched == 0


async def test_handing_an_event_to_another_member_uses_no_attempt() -> None:
    transport = MemoryTransport()
    one, two = Bus(transport, service="s"), Bus(transport, service="s", retry=quick(1))
    attempts = Seen()
    one.add(noting(Seen()), "order.placed", group="g")

    async def handle(data: Any, message: Any) -> None:
        attempts.add(message.attempt)

    two.add(handle, "order.paid", group="g")
    async with up(one), two:
        for _ in range(10):
            await one.publish("order.paid", 1)
        await attempts.count(10)
    assert set(attempts.items) == {1}


async def test_what_was_handed_on_and_is_nobodys_any_more_becomes_a_dead_letter() -> None:
    transport = MemoryTransport()
    one, two = Bus(transport, service="s"), Bus(transport, service="s")
    one.add(noting(Seen()), "order.placed", group="g")
    other = two.add(noting(Seen()), "order.paid", group="g")
    other.pause()
    async with up(one):
        async with two:
            await one.publish("order.paid", 1)
            await wait_for_handing_on(one, transport)
        found: list[Any] = []
        while not found:
            await anyio.sleep(0.001)
            found = await one.dead_letters("g").list()
    assert "no handler of this group matches" in found[0].verdict


async def wait_for_handing_on(bus: Bus, transport: MemoryTransport) -> None:
    while not any(state.delayed for state in await transport.groups()):
        await anyio.sleep(0.001)


async def test_the_drop_of_nothing_is_silent() -> None:
    hooks = Dropping()
    bus = Bus(middleware=[trace(hooks)])
    async with bus:
        await bus.publish("nobody.listens", 1)
    assert hooks.dropped_ == []
    assert bus.stats().dropped == 0
