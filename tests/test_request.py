"""Asking and awaiting one answer."""

from __future__ import annotations

import math
from typing import Any

import anyio
import msgspec
import pytest

from busway import Bus, Message, Reject, RequestFailed, RequestTimeout, event
from busway.errors import OptionError, TransportError
from busway.memory import MemoryTransport
from busway.middleware import Hooks, trace
from busway.testing import Flaky, PartitionedLog
from busway.transport import Purpose
from tests.facts import PATIENCE, Seen, noting, quick, turns, until, up

pytestmark = pytest.mark.anyio


@event("request.doubled")
class Double(msgspec.Struct):
    n: int


async def double(data: Double) -> int:
    return data.n * 2


async def test_the_answer_is_what_the_handler_returned() -> None:
    bus = Bus()
    bus.add(double)
    async with up(bus):
        assert await bus.request(Double(4)) == 8


async def test_many_requests_at_once_each_get_their_own_answer() -> None:
    bus, found = Bus(), Seen()
    bus.add(double, concurrency=4)

    async def ask(n: int) -> None:
        found.add((n, await bus.request(Double(n))))

    async with up(bus), anyio.create_task_group() as tasks:
        for n in range(50):
            tasks.start_soon(ask, n)
        await found.count(50)
    assert all(answer == 2 * n for n, answer in found.items)


async def test_a_handler_that_gives_up_fails_the_request_with_what_it_said() -> None:
    bus, attempts = Bus(retry=quick(3)), Seen()

    @bus.subscribe("ask")
    async def fail(data: Any, message: Message[Any]) -> None:
        attempts.add(message.attempt)
        raise ValueError("too much")

    async with up(bus):
        with pytest.raises(RequestFailed) as caught:
            await bus.request("ask", 1)
    assert (caught.value.kind, caught.value.reason) == ("ValueError", "too much")
    assert attempts.items == [1, 2, 3]


async def test_a_broadcast_handler_that_gives_up_fails_the_request_too() -> None:
    bus = Bus(retry=quick(1))

    @bus.subscribe("ask", broadcast=True)
    async def fail(data: Any) -> None:
        raise Reject("not me")

    async with up(bus):
        with pytest.raises(RequestFailed, match="not me"):
            await bus.request("ask", 1)


async def test_nobody_answers_within_the_deadline() -> None:
    async with Bus() as bus:
        with pytest.raises(RequestTimeout, match=r"no reply to ask within 0\.02 s"):
            await bus.request("ask", 1, timeout=0.02)
        with pytest.raises(OptionError, match="timeout"):
            await bus.request("ask", 1, timeout=0)


class Dropped(Hooks):
    def __init__(self) -> None:
        self.whys = Seen()

    def dropped(self, details: Any) -> None:
        self.whys.add(details.why)


async def test_the_first_answer_wins_and_further_ones_are_dropped_and_counted() -> None:
    hooks = Dropped()
    bus = Bus(middleware=[trace(hooks)])
    leave = anyio.Event()

    @bus.subscribe("ask", group="fast")
    async def fast(data: Any) -> str:
        return "fast"

    @bus.subscribe("ask", group="slow")
    async def slow(data: Any) -> str:
        await leave.wait()
        return "slow"

    async with up(bus):
        assert await bus.request("ask", 1) == "fast"
        leave.set()
        await hooks.whys.count(1)
        assert bus.stats().dropped == 1
    assert "nobody waits" in hooks.whys.items[0]


async def test_an_answer_that_comes_too_late_is_dropped_and_counted() -> None:
    bus, entered, leave = Bus(), anyio.Event(), anyio.Event()

    @bus.subscribe("ask")
    async def slow(data: Any) -> int:
        entered.set()
        await leave.wait()
        return 1

    async with up(bus):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.request, "ask", 1)
            await entered.wait()
            tasks.cancel_scope.cancel()
        leave.set()
        await until(lambda: bus.stats().dropped == 1)


async def test_an_answer_that_cannot_be_encoded_fails_the_request() -> None:
    bus = Bus("memory://?codec=json")

    @bus.subscribe("ask")
    async def odd(data: Any) -> object:
        return object()

    async with up(bus):
        with pytest.raises(RequestFailed, match="EncodeError"):
            await bus.request("ask", 1)
        await bus.drain()
        assert bus.stats().dead == 0


async def test_an_answer_that_the_broker_refuses_at_first_is_sent_again() -> None:
    transport = Flaky(MemoryTransport())
    bus = Bus(transport)
    bus.add(double)
    transport.fail("send", times=2, when=lambda item: item.address.purpose is Purpose.REPLY)
    async with up(bus):
        assert await bus.request(Double(1)) == 2
    assert transport.calls["send"] == 4


async def test_a_request_that_was_not_sent_says_so() -> None:
    transport = Flaky(MemoryTransport())
    bus = Bus(transport)
    async with up(bus):
        transport.fail("send")
        with pytest.raises(Exception, match="injected: send refused"):
            await bus.request("ask", 1)


async def test_a_feed_for_replies_that_cannot_be_opened_is_raised_and_tried_again() -> None:
    transport = Flaky(MemoryTransport())
    bus = Bus(transport)
    bus.add(double)
    async with up(bus):
        transport.fail("listen")
        with pytest.raises(TransportError, match="injected"):
            await bus.request(Double(1))
        assert await bus.request(Double(1)) == 2


async def test_a_feed_for_replies_that_hangs_is_within_the_timeout() -> None:
    transport = Flaky(MemoryTransport())
    bus = Bus(transport)
    bus.add(double)
    async with up(bus):
        gate = transport.hold("listen", times=math.inf)
        with pytest.raises(RequestTimeout, match="did not open"):
            await bus.request(Double(1), timeout=0.02)
        gate.open()


async def test_a_handler_that_is_to_finish_at_the_stop_gets_its_answer() -> None:
    """The feed for replies is closed after those of the handlers who may wait for one."""
    # Not in memory, where everything is handled before anything is closed.
    bus = Bus(PartitionedLog(), service="s")
    seen, entered, leave = Seen(), anyio.Event(), anyio.Event()

    @bus.subscribe("inner")
    async def inner(data: Any) -> int:
        entered.set()
        await leave.wait()
        return 42

    @bus.subscribe("outer")
    async def outer(data: Any) -> None:
        seen.add(await bus.request("inner", data))

    async with up(bus), anyio.create_task_group() as tasks:
        await bus.publish("outer", 1)
        await entered.wait()
        tasks.start_soon(bus.stop)
        await until(lambda: bus.stats().state == "stopping")
        await turns()
        leave.set()
        await seen.count(1)
    assert seen.items == [42]


async def test_requests_work_after_a_restart() -> None:
    bus = Bus()
    bus.add(double)
    with anyio.fail_after(PATIENCE):
        for _ in range(2):
            async with bus:
                assert await bus.request(Double(1)) == 2


async def test_a_reply_belongs_to_the_conversation_of_its_request() -> None:
    bus, seen = Bus(), Seen()

    @bus.subscribe("ask")
    async def answer(data: Any, message: Message[Any]) -> None:
        seen.add(message.envelope)

    class Received(Hooks):
        def received(self, details: Any) -> None:
            if details.content.type == "ask.reply":
                seen.add(details.content)

    bus = Bus(middleware=[trace(Received())])
    bus.add(answer, "ask")
    async with up(bus):
        await bus.request("ask", 1, tenant="t")
    request, reply = seen.items
    assert reply.correlation_id == request.correlation_id
    assert reply.causation_id == request.id
    assert reply.tenant == "t"


async def test_a_reply_is_seen_by_no_subscriber() -> None:
    bus, seen = Bus(), Seen()
    bus.add(double)
    bus.add(noting(seen), "**", group="all")
    async with up(bus):
        await bus.request(Double(1))
        await bus.drain()
    assert [type(each).__name__ for each in seen.items] == ["Double"]


class Price(msgspec.Struct):
    cents: int


@event("price.asked")
class PriceAsked(msgspec.Struct):
    item: str


@pytest.mark.parametrize("url", ["memory://", "memory://?codec=json"])
async def test_the_answer_is_made_what_the_asker_says_it_is(url: str) -> None:
    bus = Bus(url)

    @bus.subscribe(PriceAsked)
    async def price(asked: PriceAsked) -> Price:
        return Price(350)

    async with up(bus):
        asked = PriceAsked("tea")
        assert await bus.request(asked, returns=Price) == Price(350)
        assert await bus.request(asked, returns=Price | None) == Price(350)
        assert await bus.request(asked, returns=dict) == {"cents": 350}


async def test_an_answer_that_does_not_fit_what_was_asked_for_fails_the_request() -> None:
    bus = Bus()
    bus.add(double)
    async with up(bus):
        with pytest.raises(RequestFailed, match="does not fit Price") as caught:
            await bus.request(Double(1), returns=Price)
        assert caught.value.kind == "Undecodable"
        with pytest.raises(OptionError, match=r"returns=.*it takes a type"):
            await bus.request(Double(1), returns=5)


async def test_an_observer_of_everything_neither_answers_nor_fails_a_request() -> None:
    bus, seen, answer = Bus(retry=quick(1)), Seen(), anyio.Event()

    @bus.subscribe("*")
    async def log(data: Any) -> None:
        seen.add("log")

    @bus.subscribe("**", group="broken")
    async def broken(data: Any) -> None:
        seen.add("broken")
        raise Reject("the disk is full")

    @bus.subscribe("*", group="unsaid")
    async def unsaid(data):  # type: ignore[no-untyped-def]
        seen.add("unsaid")

    @bus.subscribe("cost.*", group="costs")
    async def price(data: Any) -> int:
        await answer.wait()
        return 350

    async with up(bus), anyio.create_task_group() as tasks:
        answers = Seen()

        async def ask() -> None:
            answers.add(await bus.request("cost.asked", {}))

        tasks.start_soon(ask)
        await seen.count(3)
        # All that observe are done, with nothing sent, before the one that answers begins to.
        await until(lambda: bus.stats().dead == 1)
        answer.set()
        await answers.count(1)
        await bus.drain()
    assert answers.items == [350]
    assert bus.stats().dropped == 0
    assert bus.stats().handled == 3


async def test_a_handler_of_the_very_topic_that_returns_nothing_confirms_or_fails() -> None:
    bus = Bus(retry=quick(1))

    @bus.subscribe("order.{paid,refused}", "*")
    async def told(data: int) -> None:
        if data < 0:
            raise Reject("too little")

    async with up(bus):
        assert await bus.request("order.paid", 1) is None
        with pytest.raises(RequestFailed, match="too little"):
            await bus.request("order.refused", -1)
        with pytest.raises(RequestTimeout, match="-> None never replies"):
            await bus.request("order.lost", 1, timeout=0.02)


async def test_a_confirmation_is_no_answer_to_who_asks_for_a_type() -> None:
    hooks = Dropped()
    bus, answer = Bus(middleware=[trace(hooks)]), anyio.Event()

    @bus.subscribe(PriceAsked)
    async def audit(asked: PriceAsked) -> None: ...

    @bus.subscribe(PriceAsked)
    async def price(asked: PriceAsked) -> Price:
        await answer.wait()
        return Price(350)

    async with up(bus), anyio.create_task_group() as tasks:
        answers = Seen()

        async def ask() -> None:
            answers.add(await bus.request(PriceAsked("tea"), returns=Price))

        tasks.start_soon(ask)
        await hooks.whys.count(1)
        answer.set()
        await answers.count(1)
    assert answers.items == [Price(350)]
    assert "only that a request was handled" in hooks.whys.items[0]
