"""Retries: counted in one place, told the same everywhere, and holding no more than they must."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import pytest

from busway import Backoff, Bus, Message, Reject, Retry, RetryLater, event
from busway.memory import MemoryTransport
from busway.middleware import Hooks, trace
from busway.testing import Flaky, VirtualClock
from tests.facts import LeapingClock, Seen, letters, noting, quick, until, up

pytestmark = pytest.mark.anyio


class Noting(Hooks):
    def __init__(self) -> None:
        self.retries: list[Any] = []
        self.dead: list[Any] = []

    def retried(self, details: Any) -> None:
        self.retries.append(details)

    def dead_lettered(self, details: Any) -> None:
        self.dead.append(details)


@pytest.mark.parametrize("in_place", [1.0, 0.0])
async def test_attempts_agree_in_handler_hooks_and_dead_letter(in_place: float) -> None:
    hooks, attempts = Noting(), Seen()
    bus = Bus(retry=quick(3, in_place=in_place), middleware=[trace(hooks)])

    @bus.subscribe("a.b", group="g")
    async def handle(data: Any, message: Message[Any]) -> None:
        attempts.add(message.attempt)
        raise ValueError("no")

    async with up(bus):
        await bus.publish("a.b", 1)
        (letter,) = await letters(bus, "g", 1)
        await bus.drain()
    assert attempts.items == [1, 2, 3]
    assert [each.attempt for each in hooks.retries] == [1, 2]
    assert [each.attempts for each in hooks.dead] == [3]
    assert letter.attempts == 3
    assert letter.verdict == "failed 3 of 3 attempts: no"
    stats = bus.stats()
    assert (stats.failed, stats.retried, stats.dead, stats.handled) == (3, 2, 1, 0)


async def test_a_single_attempt_is_never_retried() -> None:
    bus, seen = Bus(retry=quick(1)), Seen()

    @bus.subscribe("a.b", group="g")
    async def handle(data: Any, message: Message[Any]) -> None:
        seen.add(message.attempt)
        raise ValueError("no")

    async with up(bus):
        await bus.publish("a.b", 1)
        await letters(bus, "g", 1)
    assert seen.items == [1]


async def test_the_subscriptions_policy_goes_before_the_events_and_that_before_the_buss() -> None:
    @event("policy.declared", retry=quick(2))
    class Event(msgspec.Struct):
        x: int = 1

    seen = Seen()
    bus = Bus(retry=quick(3))

    async def fail(data: Any, message: Message[Any]) -> None:
        seen.add((message.group, message.attempt))
        raise ValueError("no")

    bus.add(fail, "policy.declared", group="own", retry=quick(1))
    bus.add(fail, "policy.declared", group="events")
    bus.add(fail, "policy.undeclared", group="buss")
    async with up(bus):
        await bus.publish(Event())
        await bus.publish("policy.undeclared", {})
        for group in ("own", "events", "buss"):
            await letters(bus, group, 1)
    count = {g: sum(group == g for group, _ in seen.items) for g in ("own", "events", "buss")}
    assert count == {"own": 1, "events": 2, "buss": 3}


async def test_a_wait_of_the_handlers_choosing_is_kept_and_counts_as_an_attempt() -> None:
    clock, seen = LeapingClock(), Seen()
    bus = Bus(clock=clock)

    @bus.subscribe("a.b", group="g", retry=Retry(2))
    async def handle(data: Any, message: Message[Any]) -> None:
        seen.add((message.attempt, clock.time()))
        raise RetryLater(3600)

    async with up(bus):
        begun = clock.time()
        await bus.publish("a.b", 1)
        await seen.count(1)
        await until(lambda: bus.stats().retried == 1)
        clock.leap(3599)
        await bus.publish("a.b", 2)
        await seen.count(2)  # only the second event: the first is not due
        assert seen.items[1] == (1, begun + 3599)
        clock.leap(2)
        await seen.count(3)
        assert seen.items[2] == (2, begun + 3601)
        await letters(bus, "g", 1)


class Busy(RetryLater):
    counts = False


@pytest.mark.parametrize("in_place", [10.0, 0.0])
async def test_a_wait_that_nobody_is_to_blame_for_uses_no_attempt(in_place: float) -> None:
    seen = Seen()
    bus = Bus(retry=quick(1, in_place=in_place))

    @bus.subscribe("a.b", group="g")
    async def handle(data: Any, message: Message[Any]) -> None:
        seen.add(message.attempt)
        if len(seen.items) < 4:
            raise Busy(0.001)

    async with up(bus):
        await bus.publish("a.b", 1)
        await seen.count(4)
        await bus.drain()
        assert await bus.dead_letters("g").list() == []
    assert seen.items == [1, 1, 1, 1]
    assert (bus.stats().failed, bus.stats().retried) == (0, 0)


async def test_what_is_rejected_is_not_tried_again() -> None:
    bus, seen = Bus(retry=quick(5)), Seen()

    @bus.subscribe("a.b", group="g")
    async def handle(data: Any) -> None:
        seen.add(data)
        raise Reject("never")

    async with up(bus):
        await bus.publish("a.b", 1)
        (letter,) = await letters(bus, "g", 1)
    assert seen.items == [1]
    assert (letter.verdict, letter.kind, letter.attempts) == ("never", "Reject", 1)


async def test_a_retry_in_place_holds_only_its_lane() -> None:
    clock, seen = LeapingClock(), Seen()
    bus = Bus(clock=clock, retry=Retry(2, Backoff(1.0, jitter="none")))

    @bus.subscribe("a.b", group="g")
    async def handle(data: Any, message: Message[Any]) -> None:
        seen.add((message.key, data, message.attempt))
        if data == "fails" and message.attempt == 1:
            raise ValueError("no")

    async with up(bus):
        await bus.publish("a.b", "fails", key="one")
        await bus.publish("a.b", "behind", key="one")
        await bus.publish("a.b", "free", key="two")
        await seen.count(2)
        assert seen.items == [("one", "fails", 1), ("two", "free", 1)]
        clock.leap(1.0)
        await seen.count(4)
        assert seen.items[2:] == [("one", "fails", 2), ("one", "behind", 1)]


async def test_a_retry_that_is_due_while_others_are_acknowledged_is_started() -> None:
    """Whoever acknowledges fetches next, and then nobody looks."""
    transport, clock = Flaky(MemoryTransport()), VirtualClock()
    bus, seen = Bus(transport, clock=clock, retry=quick(2)), Seen()

    @bus.subscribe("a.*", group="g")
    async def handle(data: Any, message: Message[Any]) -> None:
        seen.add((data, message.attempt))
        if data == "bad" and message.attempt == 1:
            raise ValueError(data)

    async with up(bus):
        gate = transport.hold("ack")
        await bus.publish_many([bus.envelope("a.b", each, key=each) for each in ("bad", "good")])
        await gate.reached()
        await clock.advance(1.0)
        gate.open()
        await seen.count(3)
    assert seen.items == [("bad", 1), ("good", 1), ("bad", 2)]


async def test_a_long_wait_frees_the_lane() -> None:
    clock, seen = LeapingClock(), Seen()
    bus = Bus(clock=clock, retry=Retry(2, Backoff(10.0, jitter="none")))

    @bus.subscribe("a.b", group="g")
    async def handle(data: Any, message: Message[Any]) -> None:
        seen.add((data, message.attempt))
        if data == "fails" and message.attempt == 1:
            raise ValueError("no")

    async with up(bus):
        await bus.publish("a.b", "fails", key="one")
        await bus.publish("a.b", "behind", key="one")
        await seen.count(2)
        clock.leap(10.0)
        await seen.count(3)
    assert seen.items == [("fails", 1), ("behind", 1), ("fails", 2)]


async def test_one_groups_retry_is_not_seen_by_another() -> None:
    bus, failing, other = Bus(retry=quick(3, in_place=0.0)), Seen(), Seen()

    @bus.subscribe("a.b", group="failing")
    async def handle(data: Any) -> None:
        failing.add(data)
        raise ValueError("no")

    bus.add(noting(other), "a.b", group="other")
    async with up(bus):
        await bus.publish("a.b", 1)
        await letters(bus, "failing", 1)
        await bus.drain()
        assert await bus.dead_letters("other").list() == []
    assert failing.items == [1, 1, 1]
    assert other.items == [1]


async def test_handlers_of_equal_patterns_each_tell_their_own_name() -> None:
    bus = Bus(retry=quick(2))

    async def first(data: Any) -> None:
        raise ValueError("first")

    async def second(data: Any) -> None:
        raise ValueError("second")

    bus.add(first, "a.b", group="g")
    bus.add(second, "a.b", group="g")
    async with up(bus):
        await bus.publish("a.b", 1)
        (letter,) = await letters(bus, "g", 1)
    assert letter.reason in letter.handler


@pytest.mark.parametrize("url", ["memory://", "memory://?lease=30"])
@pytest.mark.parametrize("topics", [["a.b"], ["a.b", "a.c"]], ids=["first", "in one batch"])
async def test_a_handler_runs_in_the_context_of_no_error_of_ours(
    url: str, topics: list[str]
) -> None:
    """The first event of a topic is looked up in vain: no traceback is to show that."""
    bus, contexts = Bus(url, retry=quick(1)), Seen()

    @bus.subscribe("a.*", group="g")
    async def handle(data: Any) -> None:
        contexts.add(sys.exception())
        raise ValueError("no")

    async with up(bus):
        await bus.publish_many([bus.envelope(topic, 1) for topic in topics])
        found = await letters(bus, "g", len(topics))
    assert contexts.items == [None] * len(topics)
    assert not any("KeyError" in letter.traceback for letter in found)
