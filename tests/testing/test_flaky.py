"""What ``Flaky`` puts into a transport, and that it changes nothing else."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec
import pytest

from busway import Bus, PublishError, PublishUnknown, TransportError, event
from busway.codec import JsonCodec
from busway.memory import MemoryTransport, NullTransport
from busway.message import Envelope
from busway.testing import BusSuite, Flaky, PartitionedLog, TransportSuite
from busway.transport import (
    Address,
    Announces,
    Browses,
    Charts,
    Delivery,
    Discards,
    Extends,
    Feed,
    Follows,
    Group,
    Holds,
    Located,
    ManagesGroups,
    Moves,
    NotWritten,
    Outcome,
    Outgoing,
    Posts,
    Redelivers,
    Reports,
    Rewinds,
    TakesClock,
    Transport,
    Unknown,
    Volatile,
    Written,
)

__all__ = ["TestFlakyBus", "TestFlakyLog", "TestFlakyMemory", "pytestmark"]

pytestmark = pytest.mark.anyio

POWERS = [
    *(Announces, Browses, Charts, Discards, Holds, Located, ManagesGroups, Posts, Reports),
    *(Rewinds, TakesClock, Volatile),
]
FEED_POWERS = [Extends, Follows, Moves, Redelivers]
ADDRESS = Address("orders")
GROUP = Group("billing", ("**",), lambda topic: True)


class Outages:
    @asynccontextmanager
    async def outage(self, transport: Transport) -> AsyncIterator[None]:
        assert isinstance(transport, Flaky)
        transport.go_away()
        yield
        transport.come_back()


class TestFlakyMemory(Outages, TransportSuite):
    keeps_history = False

    @pytest.fixture
    def transport(self) -> Transport:
        return Flaky(MemoryTransport())


class TestFlakyLog(Outages, TransportSuite):
    @pytest.fixture
    def transport(self) -> Transport:
        return Flaky(PartitionedLog())


class TestFlakyBus(Outages, BusSuite):
    keeps_history = False

    @pytest.fixture
    def transport(self) -> Transport:
        return Flaky(MemoryTransport())


def outgoing(data: object, topic: str = "order.placed") -> Outgoing:
    return Outgoing(Envelope(topic, data, "test", 1.0), ADDRESS, JsonCodec())


def data_of(delivery: Delivery) -> object:
    assert isinstance(delivery.content, Envelope)
    return delivery.content.data


async def send(transport: Transport, *data: object) -> list[type[Outcome]]:
    outcomes = await transport.send([outgoing(each) for each in data], timeout=1)
    return [type(outcome) for outcome in outcomes]


@asynccontextmanager
async def open_feed(flaky: Flaky) -> AsyncIterator[Feed]:
    with anyio.fail_after(5):
        async with flaky, flaky.listen(GROUP) as feed:
            yield feed


# --- powers


@pytest.mark.parametrize(
    "inner",
    [
        MemoryTransport(),
        MemoryTransport(history=10),
        MemoryTransport(lease=1.0),
        PartitionedLog(),
        NullTransport(),
    ],
    ids=["memory", "memory with history", "memory with leases", "partitioned log", "null"],
)
async def test_it_has_the_powers_of_the_inner_transport_and_its_feeds_those_of_the_inner_feeds(
    inner: Transport,
) -> None:
    flaky = Flaky(inner)
    assert [isinstance(flaky, each) for each in POWERS] == [isinstance(inner, p) for p in POWERS]
    async with flaky, flaky.listen(GROUP) as feed, inner.listen(GROUP) as plain:
        theirs = [isinstance(plain, power) for power in FEED_POWERS]
        assert [isinstance(feed, power) for power in FEED_POWERS] == theirs


# --- sending


async def test_a_refused_item_is_not_written() -> None:
    flaky = Flaky(MemoryTransport())
    flaky.fail("send", after=1)
    async with open_feed(flaky) as feed:
        assert await send(flaky, 1, 2, 3) == [Written, NotWritten, Written]
        assert [data_of(each) for each in await feed.receive(9)] == [1, 3]


async def test_a_lost_item_is_unknown_and_was_not_written() -> None:
    flaky = Flaky(MemoryTransport())
    flaky.fail("send", how="lost")
    async with open_feed(flaky) as feed:
        assert await send(flaky, 1, 2) == [Unknown, Written]
        assert [data_of(each) for each in await feed.receive(9)] == [2]


async def test_an_unanswered_item_is_unknown_and_was_written() -> None:
    flaky = Flaky(MemoryTransport())
    flaky.fail("send", how="unanswered", times=2)
    async with open_feed(flaky) as feed:
        assert await send(flaky, 1, 2, 3) == [Unknown, Unknown, Written]
        assert [data_of(each) for each in await feed.receive(9)] == [1, 2, 3]


async def test_when_chooses_the_items_that_fail() -> None:
    flaky = Flaky(MemoryTransport())
    flaky.fail("send", times=math.inf, when=lambda item: item.content.data % 2 == 0)
    async with open_feed(flaky) as feed:
        assert await send(flaky, 1, 2, 3, 4) == [Written, NotWritten, Written, NotWritten]
        assert [data_of(each) for each in await feed.receive(9)] == [1, 3]


async def test_the_error_that_was_given_is_the_one_that_is_said() -> None:
    flaky = Flaky(MemoryTransport())
    wanted = TransportError("disk full", retryable=False)
    flaky.fail("send", error=wanted)
    async with flaky:
        (outcome,) = await flaky.send([outgoing(1)], timeout=1)
    assert outcome == NotWritten(wanted)


@event("flaky.sent")
class Sent(msgspec.Struct, frozen=True):
    number: int


async def test_the_bus_says_of_each_publish_what_became_of_it() -> None:
    flaky = Flaky(MemoryTransport())
    seen: list[int] = []
    bus = Bus(flaky, service="test")

    @bus.subscribe(Sent)
    async def see(sent: Sent) -> None:
        seen.append(sent.number)

    with anyio.fail_after(5):
        async with bus:
            await bus.publish(Sent(1))
            flaky.fail("send")
            with pytest.raises(PublishError):
                await bus.publish(Sent(2))
            flaky.fail("send", how="unanswered")
            with pytest.raises(PublishUnknown):
                await bus.publish(Sent(3))
            await bus.publish(Sent(4))
    assert seen == [1, 3, 4]
    assert flaky.calls["send"] == 4


# --- receiving and acknowledging


async def test_a_failed_receive_has_lent_nothing() -> None:
    flaky = Flaky(MemoryTransport())
    flaky.fail("receive")
    async with open_feed(flaky) as feed:
        await send(flaky, 1)
        with pytest.raises(TransportError):
            await feed.receive(9)
        assert [data_of(each) for each in await feed.receive(9)] == [1]


async def test_a_refused_ack_leaves_the_delivery_lent() -> None:
    flaky = Flaky(MemoryTransport())
    flaky.fail("ack")
    async with open_feed(flaky) as feed:
        await send(flaky, 1)
        lent = await feed.receive(9)
        with pytest.raises(TransportError):
            await feed.ack(lent)
        assert (await flaky.inner.groups())[0].pending == 1
        await feed.ack(lent)
        assert (await flaky.inner.groups())[0].pending == 0


async def test_an_unanswered_ack_was_done() -> None:
    flaky = Flaky(MemoryTransport())
    flaky.fail("ack", how="unanswered")
    async with open_feed(flaky) as feed:
        await send(flaky, 1)
        with pytest.raises(TransportError):
            await feed.ack(await feed.receive(9))
        assert (await flaky.inner.groups())[0].pending == 0


async def test_a_held_call_waits_for_its_gate() -> None:
    flaky = Flaky(MemoryTransport())
    async with open_feed(flaky) as feed, anyio.create_task_group() as tasks:
        await send(flaky, 1)
        lent = await feed.receive(9)
        gate = flaky.hold("ack")
        tasks.start_soon(feed.ack, lent)
        await gate.reached()
        assert (await flaky.inner.groups())[0].pending == 1
        gate.open()
        await anyio.wait_all_tasks_blocked()
        assert (await flaky.inner.groups())[0].pending == 0


async def test_a_delayed_call_begins_that_much_later() -> None:
    flaky = Flaky(MemoryTransport())
    flaky.delay("send", 0.05)
    async with flaky:
        begun = anyio.current_time()
        assert await send(flaky, 1) == [Written]
        assert anyio.current_time() - begun >= 0.05


# --- the connection


async def test_while_the_broker_is_away_everything_fails_and_afterwards_all_is_there() -> None:
    flaky = Flaky(MemoryTransport())
    async with open_feed(flaky) as feed:
        await send(flaky, 1, 2)
        lent = await feed.receive(1)
        flaky.go_away()
        assert await send(flaky, 3) == [NotWritten]
        for call in (feed.receive(1), feed.ack(lent), feed.release(lent)):
            with pytest.raises(TransportError):
                await call
        flaky.come_back()
        assert await feed.ack(lent) == 0
        assert [data_of(each) for each in await feed.receive(9)] == [2]


async def test_a_receive_that_waits_breaks_off_when_the_broker_goes_away() -> None:
    flaky = Flaky(MemoryTransport())
    broken: list[TransportError] = []
    async with open_feed(flaky) as feed:

        async def wait() -> None:
            try:
                await feed.receive(1)
            except TransportError as error:
                broken.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            flaky.go_away()
    assert len(broken) == 1


async def test_an_interrupted_receive_loses_nothing() -> None:
    """The worker of a bus calls again, with backoff."""
    flaky = Flaky(MemoryTransport())
    got = anyio.Event()
    bus = Bus(flaky, service="test")

    @bus.subscribe("order.*")
    async def see(order: object) -> None:
        got.set()

    with anyio.fail_after(5):
        async with bus:
            await anyio.wait_all_tasks_blocked()
            flaky.interrupt()
            await bus.publish("order.placed", {})
            await got.wait()


async def test_an_interrupted_send_is_unknown() -> None:
    """It waits for room in a full mailbox, and nobody can say how far it came."""
    flaky = Flaky(MemoryTransport(mailbox=1))
    outcomes: list[type[Outcome]] = []
    async with open_feed(flaky):
        await send(flaky, 1)

        async def wait() -> None:
            outcomes.extend(await send(flaky, 2))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            flaky.interrupt()
    assert outcomes == [Unknown]


async def test_heal_forgets_what_has_not_happened() -> None:
    flaky = Flaky(MemoryTransport())
    flaky.fail("send", times=math.inf)
    flaky.go_away()
    flaky.heal()
    async with flaky:
        assert await send(flaky, 1) == [Written]


async def test_connecting_and_joining_can_fail() -> None:
    flaky = Flaky(MemoryTransport())
    flaky.fail("connect")
    flaky.fail("listen")
    with pytest.raises(TransportError, match="connect"):
        await flaky.__aenter__()
    async with flaky:
        with pytest.raises(TransportError, match="listen"):
            await flaky.listen(GROUP).__aenter__()
        async with flaky.listen(GROUP):
            pass
