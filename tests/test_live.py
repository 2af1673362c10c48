"""Subscriptions on a transport that keeps nothing: what is lowered, and what is refused by name."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from busway import Actor, Backoff, Bus, Retry, on
from busway.errors import MissingPower, RetryLater
from busway.memory import MemoryTransport
from busway.middleware import Hooks, trace
from tests.facts import PATIENCE, Seen, noting

pytestmark = pytest.mark.anyio

LATER = Retry(attempts=3, backoff=Backoff(first=5.0))


class LiveMemory(MemoryTransport):
    """As far as the core can see, it keeps nothing."""

    live = True

    def __repr__(self) -> str:
        return "<live>"


async def handle(event: Any) -> None: ...


async def test_every_process_gets_every_event_of_a_group_by_default() -> None:
    transport, seen = LiveMemory(), [Seen(), Seen()]
    buses = [Bus(transport, service="s") for _ in seen]
    for bus, each in zip(buses, seen, strict=True):
        bus.add(noting(each), "a.b")
    with anyio.fail_after(PATIENCE):
        async with buses[0], buses[1]:
            for n in range(3):
                await buses[0].publish("a.b", n)
            for each in seen:
                await each.count(3)
    assert [each.items for each in seen] == [[0, 1, 2]] * 2


async def test_what_is_lowered_is_said_once_for_all_groups(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def other(event: Any) -> None: ...

    async def shown(event: Any) -> None: ...

    bus = Bus(LiveMemory(), service="s")
    bus.add(handle, "a.*")
    bus.add(other, "a.*")
    bus.add(shown, "a.*", broadcast=True)
    with caplog.at_level(logging.WARNING, "busway"):
        async with bus:
            pass
    (line,) = caplog.messages
    assert line.startswith("<live> keeps no events")
    assert "s.handle, s.other;" in line
    assert "shown" not in line


async def test_broadcast_is_said_nothing_about(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus(LiveMemory(), service="s")
    bus.add(handle, "a.*", broadcast=True, group="shown", retry=LATER)
    with caplog.at_level(logging.WARNING, "busway"):
        async with bus:
            pass
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("asked", "power"),
    [
        ({"group": "billing"}, "durable groups"),
        ({"start": "earliest"}, "history"),
        ({"retry": LATER}, "retries later"),
    ],
    ids=lambda each: each if isinstance(each, str) else next(iter(each)),
)
async def test_what_is_asked_for_and_missing_is_refused_at_the_start(
    asked: dict[str, Any], power: str
) -> None:
    bus = Bus(LiveMemory(), service="s")
    bus.add(handle, "a.*", **asked)
    with pytest.raises(MissingPower, match=rf"handle: .*<live> keeps no events \(power: {power}\)"):
        await bus.start()
    assert bus.stats().state == "not started"


async def test_who_hears_of_dead_letters_is_refused() -> None:
    bus = Bus(LiveMemory(), service="s", on_dead=lambda letter: None)
    bus.add(handle, "a.*")
    with pytest.raises(MissingPower, match="dead letters"):
        await bus.start()


@pytest.mark.parametrize(
    "asked",
    [{"start": "latest"}, {"retry": Retry()}, {"retry": Retry(attempts=1)}, {"order": "key"}],
)
async def test_what_it_has_is_not_refused(asked: dict[str, Any]) -> None:
    bus = Bus(LiveMemory(), service="s")
    bus.add(handle, "a.*", **asked)
    async with bus:
        pass


async def test_a_subscription_in_a_group_that_is_open_is_refused_as_well() -> None:
    class Watching(Actor):
        @on("a.*")
        async def seen(self, event: Any) -> None: ...

    bus = Bus(LiveMemory(), service="s")
    bus.add(handle, "a.*", broadcast=False)
    async with bus:
        with pytest.raises(MissingPower, match="durable groups"):
            bus.add(handle, "b.*", group="s.handle")
        bus.add(Watching())  # an actor without a word about its group


async def test_a_delay_is_refused_where_it_is_published() -> None:
    async with Bus(LiveMemory(), service="s") as bus:
        with pytest.raises(MissingPower, match=r"delay=: <live> keeps no events \(power: Holds\)"):
            await bus.publish("a.b", 1, delay=60)
        with pytest.raises(MissingPower):
            await bus.request("a.b", 1, delay=60)
        await bus.publish("a.b", 1, delay=0)
        assert bus.stats().published == 1


class Dropped(Hooks):
    def __init__(self) -> None:
        self.whys: list[str] = []

    def dropped(self, details: Any) -> None:
        self.whys.append(details.why)


async def test_what_fails_is_tried_in_place_and_dropped_without_a_letter() -> None:
    """Whatever the bus's own policy says about waits, and whatever the handler asks for."""
    hooks, seen = Dropped(), Seen()
    policy = Retry(attempts=3, backoff=Backoff(first=0.01, cap=0.01), in_place=0)
    bus = Bus(LiveMemory(), service="s", retry=policy, middleware=[trace(hooks)])

    @bus.subscribe("a.b")
    async def fail(event: Any) -> None:
        seen.add(event)
        raise RetryLater(0.01) if len(seen.items) == 1 else ValueError("no")

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("a.b", 1)
            await seen.count(3)
    assert seen.items == [1, 1, 1]
    assert len(hooks.whys) == 1
    assert "failed 3 of 3 attempts" in hooks.whys[0]


@pytest.fixture
async def asking() -> AsyncIterator[Bus]:
    async with Bus(LiveMemory(), service="s") as bus:
        yield bus


async def test_a_request_is_answered(asking: Bus) -> None:
    async def price(item: str) -> int:
        return len(item)

    asking.add(price, "quote.asked")
    with anyio.fail_after(PATIENCE):
        assert await asking.request("quote.asked", "tea") == 3
