"""From one bus to another: receive here, send there, acknowledge last."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest

from busway import Backoff, Bus, Envelope, relay
from busway.errors import GroupError, MissingPower, OptionError, StateError
from busway.memory import MemoryTransport, NullTransport
from busway.middleware import Dropped, Hooks, trace
from busway.testing import Flaky, PartitionedLog
from busway.testing._member import LogFeed
from busway.transport import WRITTEN, Address, Outcome, Outgoing, Transport
from tests.facts import PATIENCE, Seen, letters, noting, until, up
from tests.helping import Answering, down

__all__: list[str] = []

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that is down does not keep a test waiting."""
    monkeypatch.setattr("busway._carrier._WAITS", Backoff(first=0.001, cap=0.01))


@pytest.fixture(params=["memory", "log"])
def kind(request: pytest.FixtureRequest) -> type[Any]:
    """Of what shape source and target are."""
    return MemoryTransport if request.param == "memory" else PartitionedLog


def bus_on(transport: Transport | str, **options: Any) -> Bus:
    return Bus(transport, service="test", **options)


@asynccontextmanager
async def relaying(*args: Any, group: str = "bridge", **options: Any) -> AsyncGenerator[None]:
    """A relay that receives, until the context is left."""
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            await tasks.start(partial(relay, *args, group=group, **options))
            yield
            tasks.cancel_scope.cancel()


def seeing(bus: Bus, pattern: str = "**") -> Seen:
    """The envelopes that come by this bus."""
    seen = Seen()

    async def see(envelope: Envelope) -> None:
        seen.add(envelope)

    bus.add(see, pattern, group="see")
    return seen


# --- what arrives ------------------------------------------------------------------------------


async def test_an_event_arrives_with_all_that_its_publisher_gave_it(kind: type[Any]) -> None:
    source, target = bus_on(kind()), bus_on(kind())
    seen = seeing(target)
    async with up(source), up(target), relaying(source, target, "order.*"):
        sent = await source.publish(
            "order.placed",
            {"total": 1},
            key="o-1",
            headers={"shop": "a"},
            tenant="t",
            user="u",
            idempotency_key="i",
            aggregate=("order", "o-1"),
            correlation_id="c",
        )
        (came,) = await seen.count(1)
    for name in ("id", "time", "type", "source", "key", "tenant", "user", "idempotency_key"):
        assert getattr(came, name) == getattr(sent, name), name
    assert (came.correlation_id, came.causation_id) == ("c", None)
    assert came.aggregate == ("order", "o-1")
    assert {name: text for name, text in came.headers.items() if name != "busway-hops"} == {
        "shop": "a"
    }


async def test_only_what_matches_is_carried() -> None:
    source, target = Bus(), Bus()
    seen = seeing(target)
    async with up(source), up(target), relaying(source, target, "order.*", "user.created"):
        for topic in ("mail.sent", "order.placed", "user.deleted", "user.created"):
            await source.publish(topic, 1)
        assert [each.type for each in await seen.count(2)] == ["order.placed", "user.created"]


async def test_order_is_kept_for_each_key(kind: type[Any]) -> None:
    source, target = bus_on(kind()), bus_on(kind())
    seen = seeing(target)
    async with up(source), up(target), relaying(source, target, "order.*"):
        for _ in range(3):
            await source.publish_many(
                [source.envelope("order.placed", n, key=f"k{n % 3}") for n in range(200)]
            )
        came = await seen.count(600)
    for key in range(3):
        numbers = [_data(each) for each in came if each.key == f"k{key}"]
        assert numbers == list(range(key, 200, 3)) * 3


async def test_what_came_together_is_sent_together() -> None:
    there = Answering()
    source, target = Bus(), bus_on(there)
    async with up(source), up(target), relaying(source, target, "order.*"):
        await source.publish_many([source.envelope("order.placed", n, key="k") for n in range(600)])
        await source.drain()
    assert there.data == list(range(600))
    assert there.calls < 60


def _data(envelope: Envelope) -> Any:
    data = envelope.data
    return data if isinstance(data, int) else int(bytes(data))


async def test_urls_and_transports_get_a_bus_for_the_time_of_the_relay() -> None:
    here, there = MemoryTransport(), MemoryTransport()
    source, target = Bus(here), Bus(there)
    seen = seeing(target)
    async with up(source), up(target), relaying(here, there, "**"):
        await source.publish("order.placed", 1)
        await seen.count(1)
    async with up(source), relaying(source, "null://", "order.*", group="void"):
        await source.publish("order.placed", 2)
        await source.drain()
        assert source.stats().handled == 1


async def test_requests_are_carried_and_not_answered_by_the_relay() -> None:
    """Nor are those refused that it cannot carry: another group may answer."""
    source, target = Bus(), bus_on(MemoryTransport(codec="json"), max_size=500)
    seen = seeing(target)
    async with up(source), up(target), relaying(source, target, "quote.asked"):
        for data in ("a" * 1000, "a"):
            with pytest.raises(TimeoutError):
                await source.request("quote.asked", data, timeout=0.05)
        await seen.count(1)
        await letters(source, "bridge", 1)


# --- at least once -----------------------------------------------------------------------------


async def test_nothing_is_acknowledged_before_the_target_has_it() -> None:
    there = Answering()
    there.closed = anyio.Event()
    here = Flaky(MemoryTransport())
    source, target = Bus(here), bus_on(there)
    async with up(source), up(target), relaying(source, target, "order.*"):
        await source.publish("order.placed", 1)
        await there.entered.wait()
        assert here.calls["ack"] == 0
        there.closed.set()
        await source.drain()
        assert here.calls["ack"] == 1


async def test_while_the_target_is_down_the_source_keeps_it_and_order_is_kept(
    kind: type[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="busway")
    there = Flaky(kind())
    source, target = bus_on(kind()), bus_on(there)
    seen = seeing(target)
    async with up(source), up(target), relaying(source, target, "order.*"):
        there.fail("send", times=9)
        for n in range(6):
            await source.publish("order.placed", n, key="k")
        came = await seen.count(6)
        await source.drain()
        assert list(dict.fromkeys(_data(each) for each in came)) == list(range(6))
        assert (source.stats().dead, source.stats().failed) == (0, 0)
    said = [r.getMessage() for r in caplog.records if r.getMessage().startswith("relay")]
    assert [("takes events again" in each, "does not take" in each) for each in said] == [
        (False, True),
        (True, False),
    ]


async def test_what_may_have_been_written_is_sent_again_with_its_id() -> None:
    there = Flaky(MemoryTransport())
    source, target = Bus(), Bus(there)
    seen = seeing(target)
    async with up(source), up(target), relaying(source, target, "order.*"):
        there.fail("send", how="unanswered", times=1)
        sent = await source.publish("order.placed", 1)
        assert [each.id for each in await seen.count(2)] == [sent.id, sent.id]


async def test_behind_what_was_refused_all_of_its_key_is_sent_again_in_order() -> None:
    refused: list[Any] = []

    def once(item: Outgoing) -> Outcome:
        """One in the middle is refused, the others are written."""
        data = getattr(item.content, "data", None)
        if data == 2 and not refused:
            refused.append(data)
            return down(item)
        return WRITTEN

    there = Answering(once)
    source, target = Bus(), bus_on(there)
    async with up(source), up(target), relaying(source, target, "order.*"):
        events = [source.envelope("order.placed", n, key=f"k{n % 2}") for n in range(6)]
        await source.publish_many(events)
        await source.drain()
    assert there.data == [0, 1, 3, 4, 5, 2, 4]


async def test_what_can_never_be_sent_is_set_aside_and_its_neighbours_arrive() -> None:
    source, target = Bus(), bus_on(MemoryTransport(codec="json"), max_size=500)
    seen = seeing(target)
    async with up(source), up(target), relaying(source, target, "order.*"):
        for data in ("a", "b" * 1000, "c"):
            await source.publish("order.placed", data, key="k")
        await seen.count(2)
        (letter,) = await letters(source, "bridge", 1)
        assert (letter.kind, letter.attempts) == ("TooLarge", 1)
        assert letter.envelope.data == "b" * 1000
        assert dict(letter.envelope.headers) == {}


async def test_bytes_that_are_no_envelope_are_dead_letters_of_the_relays_group() -> None:
    here = PartitionedLog()
    source, target = bus_on(here), bus_on(PartitionedLog())
    seen = seeing(target)
    async with up(source), up(target), relaying(source, target, "order.*"):
        here.append(Address("order"), b"\xff")
        await source.publish("order.placed", 1)
        await seen.count(1)
        (letter,) = await letters(source, "bridge", 1)
        assert letter.content.data == b"\xff"


async def test_back_pressure_reaches_the_source() -> None:
    """The target's mailbox is full, and nobody empties it: the source keeps the rest."""
    gate = anyio.Event()
    target, source = Bus("memory://?mailbox=10", max_in_flight=1), Bus()
    came = Seen()

    async def stand_still(n: int) -> None:
        await gate.wait()
        came.add(n)

    target.add(stand_still, "order.*", group="slow")
    async with up(source), up(target), relaying(source, target, "order.*"):
        await source.publish_many([source.envelope("order.placed", n) for n in range(500)])
        await anyio.wait_all_tasks_blocked()
        (slow,) = [each for each in await target.groups() if each.name == "slow"]
        assert (slow.lag or 0) <= 11
        gate.set()
        assert sorted(await came.count(500)) == list(range(500))


async def test_a_relay_that_is_cancelled_in_the_middle_gives_back_what_the_target_has_not(
    kind: type[Any],
) -> None:
    here = kind()
    there = Flaky(kind())
    source, target = bus_on(here), bus_on(there)
    seen = seeing(target)
    async with up(source), up(target):
        there.fail("send", times=math.inf)
        async with relaying(source, target, "order.*"):
            for n in range(20):
                await source.publish("order.placed", n, key=f"k{n % 2}")
            await until(lambda: there.calls["send"] >= 2)
        assert seen.items == []
        there.heal()
        async with relaying(source, target, "order.*"):
            came = await seen.count(20)
    for key in ("k0", "k1"):
        numbers = [_data(each) for each in came if each.key == key]
        assert numbers == sorted(numbers)
    assert source.stats().dead == 0


async def test_what_a_killed_relay_had_is_carried_by_another() -> None:
    here, there = PartitionedLog(partitions=1), Flaky(MemoryTransport())
    source, other, target = bus_on(here), bus_on(here), bus_on(there)
    seen = seeing(target)
    async with up(source), up(other), up(target):
        gate = there.hold("send", times=math.inf)
        async with relaying(source, target, "order.*"):
            for n in range(10):
                await source.publish("order.placed", n, key="k")
            await gate.reached()
            (feed,) = here._cohorts["bridge"].members
            assert isinstance(feed, LogFeed)
            async with relaying(other, target, "order.*"):
                here.expel(feed)
                there.heal()
                gate.open()
                await until(lambda: {_data(each) for each in seen.items} == set(range(10)))
        assert (source.stats().dead, other.stats().dead) == (0, 0)


async def test_an_event_is_not_blamed_for_relays_that_die_while_the_target_is_down() -> None:
    here, there = PartitionedLog(partitions=1), Flaky(MemoryTransport())
    source, target = bus_on(here), bus_on(there)
    seen = seeing(target)
    async with up(source), up(target):
        there.fail("send", times=math.inf)
        await source.publish("order.placed", 1, key="k")
        async with relaying(source, target, "order.*"):
            for _ in range(8):
                tried = there.calls["send"]
                await until(lambda tried=tried: there.calls["send"] > tried)  # type: ignore[misc]
                (feed,) = here._cohorts["bridge"].members
                assert isinstance(feed, LogFeed)
                here.expel(feed)
            there.heal()
            await seen.count(1)
        assert source.stats().dead == 0


async def test_a_send_that_hangs_is_cut_off_when_the_relay_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("busway._relay._GRACE", 0.01)
    there = Answering()
    there.closed = anyio.Event()
    source, target = Bus(), bus_on(there)
    async with up(source), up(target):
        async with relaying(source, target, "order.*"):
            await source.publish("order.placed", 1)
            await there.entered.wait()
        there.closed = None
        async with relaying(source, target, "order.*"):
            await source.drain()
    assert there.data == [1]


async def test_it_ends_with_its_source_even_while_the_target_is_down() -> None:
    there = Answering(down)
    source, target = bus_on(PartitionedLog()), bus_on(there)
    async with up(target), anyio.create_task_group() as tasks:
        with anyio.fail_after(PATIENCE):
            await source.start()
            await tasks.start(partial(relay, source, target, "order.*", group="bridge"))
            await source.publish("order.placed", 1)
            await until(lambda: there.calls > 1)
            await source.stop()
    assert source.stats().dead == 0


# --- loops -------------------------------------------------------------------------------------


class Drops(Hooks):
    def __init__(self) -> None:
        self.seen: list[Dropped] = []

    def dropped(self, event: Dropped) -> None:
        self.seen.append(event)


async def test_there_and_back_again_ends_and_is_counted_and_said_once(
    kind: type[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="busway")
    drops = Drops()
    here, there = bus_on(kind()), bus_on(kind(), middleware=(trace(drops),))
    at_home, abroad = seeing(here), seeing(there)
    async with (
        up(here),
        up(there),
        relaying(here, there, "**", group="out"),
        relaying(there, here, "**", group="back"),
    ):
        for n in range(3):
            await here.publish("order.placed", n)
        await abroad.count(3)
        await until(lambda: there.stats().dropped == 3)
        await there.publish("order.paid", 9)
        await at_home.count(4)
        await until(lambda: here.stats().dropped == 1)
    assert [each.type for each in at_home.items].count("order.placed") == 3
    assert [each.type for each in abroad.items].count("order.paid") == 1
    assert [each.group for each in drops.seen] == ["back"] * 3
    said = [r.getMessage() for r in caplog.records if "has been at the target" in r.getMessage()]
    assert len(said) == 2, "once by each relay"


async def test_a_ring_of_three_ends_where_it_began() -> None:
    buses = [Bus(), Bus(), Bus()]
    seen = [seeing(bus) for bus in buses]
    async with (
        up(buses[0]),
        up(buses[1]),
        up(buses[2]),
        relaying(buses[0], buses[1], "**"),
        relaying(buses[1], buses[2], "**"),
        relaying(buses[2], buses[0], "**"),
    ):
        for n, bus in enumerate(buses):
            await bus.publish("order.placed", n)
        await until(lambda: sum(bus.stats().dropped for bus in buses) == 3)
    assert [sorted(_data(each) for each in one.items) for one in seen] == [[0, 1, 2]] * 3


async def test_what_a_handler_publishes_over_there_is_no_echo() -> None:
    here, there = Bus(), Bus()
    at_home = seeing(here, "order.shipped")

    @there.subscribe("order.placed")
    async def ship(_: Any) -> None:
        await there.publish("order.shipped", 1)

    async with up(here), up(there), relaying(here, there, "**"), relaying(there, here, "**"):
        await here.publish("order.placed", 1)
        await at_home.count(1)


# --- what is said at the start -----------------------------------------------------------------


async def test_one_place_is_no_relay() -> None:
    transport = MemoryTransport()
    async with up(Bus(transport)) as one, up(Bus(transport)) as other:
        with pytest.raises(OptionError, match="one place"):
            await relay(one, other, "**", group="bridge")


async def test_it_has_to_be_said_what_is_carried() -> None:
    with pytest.raises(OptionError, match="patterns"):
        await relay("memory://", "memory://", group="bridge")


async def test_a_bus_that_is_given_has_to_run() -> None:
    with pytest.raises(StateError, match="does not run"):
        await relay(Bus(), "null://", "**", group="bridge")


async def test_a_transport_that_cannot_say_where_it_is_is_none_for_a_relay() -> None:
    class Nowhere(NullTransport):
        location = None  # type: ignore[assignment]

    with pytest.raises(MissingPower, match="Located"):
        await relay(Nowhere(), "memory://", "**", group="bridge")


async def test_its_group_is_its_own() -> None:
    source = Bus()
    source.add(noting(Seen()), "order.*", group="bridge")
    async with up(source):
        with pytest.raises(GroupError):
            await relay(source, "null://", "order.*", group="bridge")
