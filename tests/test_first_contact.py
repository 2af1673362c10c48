"""What somebody meets who does the obvious thing, and the obvious mistake, for the first time."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec
import pytest

import busway._stopping
from busway import Bus, Reject, event
from busway.errors import EventError, GroupError, HandlerError, OptionError
from busway.middleware import log
from tests.facts import PATIENCE, until, up

pytestmark = pytest.mark.anyio


@event("contact.made")
class Made(msgspec.Struct):
    n: int


def a_handler() -> Callable[[Any], Awaitable[None]]:
    async def charge(data: Any) -> None: ...

    return charge


def another_handler() -> Callable[[Any], Awaitable[None]]:
    async def charge(data: Any) -> None: ...

    return charge


def test_a_group_is_named_by_the_function_and_not_by_where_it_was_made() -> None:
    class Billing:
        async def charge(self, data: Any) -> None: ...

    bus = Bus(service="shop")
    bus.add(a_handler(), "a.b")
    bus.add(Billing().charge, "a.b")
    assert [each.group for each in bus.topology().handlers] == [
        "shop.charge",
        "shop.Billing.charge",
    ]


def test_two_functions_of_one_name_in_one_default_group_are_an_error() -> None:
    bus = Bus(service="shop")
    bus.add(a_handler(), "a.b")
    with pytest.raises(GroupError, match=r"'shop\.charge'.*give each a group="):
        bus.add(another_handler(), "a.b")


def test_subscribe_without_a_pattern_says_what_is_missing() -> None:
    bus = Bus()
    with pytest.raises(HandlerError, match=r"@bus\.subscribe stands at charge without a pattern"):
        bus.subscribe(a_handler())  # type: ignore[arg-type]


async def test_a_class_in_place_of_its_event_is_told_from_one_that_is_not_declared() -> None:
    async with Bus() as bus:
        with pytest.raises(EventError, match=r"that is the class itself; .*Made\(\.\.\.\)"):
            await bus.publish(Made)


def test_an_option_that_is_misspelt_is_answered_with_those_there_are() -> None:
    with pytest.raises(OptionError, match=r"unknown option concurency=; known: .*concurrency, "):
        Bus().subscribe("a.b", concurency=2)(a_handler())  # type: ignore[call-arg]


@pytest.mark.parametrize("one", ["contact.made", b"contact.made", {"n": 1}, Made(1)])
async def test_one_event_in_place_of_several_is_an_error(one: Any) -> None:
    """The characters of a text, or the keys of a dict, are events to nobody."""
    async with Bus() as bus:
        with pytest.raises(OptionError, match=r"publish_many\(.*\): it takes several events"):
            await bus.publish_many(one)
        assert bus.stats().published == 0


async def test_only_one_name_in_place_of_a_list_is_an_error() -> None:
    bus = Bus()
    bus.add(a_handler(), "a.b")
    with pytest.raises(OptionError, match=r"only=\['charge'\]"):
        await bus.start(only="charge")


def test_what_is_no_url_is_answered_with_each_scheme_once() -> None:
    with pytest.raises(OptionError) as caught:
        Bus("memory")
    assert str(caught.value).count("memory://") == 1


async def test_a_stop_that_takes_long_says_what_it_waits_for(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busway._stopping, "_SILENT", 0.01)
    bus, entered, leave = Bus(), anyio.Event(), anyio.Event()

    @bus.subscribe("a")
    async def slow(data: Any) -> None:
        entered.set()
        await leave.wait()

    async with up(bus), anyio.create_task_group() as tasks:
        await bus.publish("a", 1)
        await entered.wait()
        tasks.start_soon(bus.stop)
        await until(lambda: "stopping: 1 in flight, up to 30 s left" in caplog.messages)
        leave.set()
    assert len(caplog.messages) == 1


async def test_a_stop_that_waits_for_a_thread_says_so_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busway._stopping, "_SILENT", 0.01)
    bus, entered, leave = Bus(), threading.Event(), threading.Event()

    @bus.subscribe("a")
    def blocking(data: Any) -> None:
        entered.set()
        leave.wait(PATIENCE)

    async def stop() -> None:
        await bus.stop(grace=0)

    async with up(bus), anyio.create_task_group() as tasks:
        await bus.publish("a", 1)
        await until(entered.is_set)
        tasks.start_soon(stop)
        await until(lambda: any("cannot be cancelled" in each for each in caplog.messages))
        leave.set()
    assert sum("cannot be cancelled" in each for each in caplog.messages) == 1


async def test_a_dead_letter_that_nobody_is_told_of_is_logged_with_its_cause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(data: Any) -> None:
        raise Reject("no tea")

    with anyio.fail_after(PATIENCE):
        for bus in (Bus(), Bus(on_dead=lambda letter: None), Bus(middleware=[log()])):
            bus.add(fail, "a")
            async with bus:
                await bus.publish("a", 1)
                await bus.drain()
    errors = [each for each in caplog.records if "became a dead letter" in each.getMessage()]
    (text,) = [each.getMessage() for each in errors]
    assert text.startswith("a became a dead letter of group 'app.fail', attempt 1: no tea\n")
    assert text.endswith("Reject: no tea")
