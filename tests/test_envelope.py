"""Envelopes: what is given, what is inherited, and who is whose child."""

from __future__ import annotations

import copy
import os
import pickle
import signal
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest

from busway import Bus, Envelope, Message, OptionError, event
from busway.message import _envelope
from tests.helping import URLS, SeeingBus

__all__: list[str] = []

pytestmark = pytest.mark.anyio

WHOLE: dict[str, Any] = {
    "id": "mine",
    "key": "k",
    "source": "elsewhere",
    "headers": {"a": "b"},
    "correlation_id": "talk",
    "causation_id": "cause",
    "idempotency_key": "once",
    "tenant": "acme",
    "user": "ada",
    "aggregate": ("order", "1"),
    "resource": ("file", "2"),
    "time": datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
}


@event("child.made", key="name")
class Made(msgspec.Struct, frozen=True):
    name: str


@pytest.fixture(params=URLS)
def bus(request: pytest.FixtureRequest) -> SeeingBus:
    return SeeingBus(request.param, "child.**")


async def test_what_is_given_is_kept_all_the_way(bus: SeeingBus) -> None:
    async with bus:
        await bus.publish("child.one", {"a": 1}, **WHOLE)
        (got,) = await bus.seen()
    assert {name: getattr(got, name) for name in WHOLE} == WHOLE


async def test_what_is_not_given_has_its_default() -> None:
    before = datetime.now(UTC)
    envelope = Bus(service="shop").envelope("child.one")
    assert (envelope.source, envelope.key, envelope.headers) == ("shop", None, {})
    assert envelope.correlation_id == envelope.id
    assert before - timedelta(milliseconds=1) <= envelope.time <= datetime.now(UTC)


async def test_a_time_of_another_zone_is_the_same_moment() -> None:
    tokyo = datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=9)))
    envelope = Bus().envelope("child.one", time=tokyo)
    assert envelope.time == tokyo
    assert envelope.time.tzinfo is UTC


async def test_options_go_before_what_the_event_declares() -> None:
    assert Bus().envelope(Made("a"), key="b").key == "b"
    assert Bus().envelope(Made("a"), key=None).key is None


async def test_a_child_inherits_correlation_tenant_user_and_trace_and_nothing_else() -> None:
    bus = Bus(service="shop")
    parent = msgspec.structs.replace(
        bus.envelope("child.one", **WHOLE), traceparent="00-aa-bb-01", tracestate="x=y"
    )
    child = bus._child(parent, "child.two", None, {})
    assert (child.correlation_id, child.causation_id) == ("talk", "mine")
    assert (child.tenant, child.user) == ("acme", "ada")
    assert (child.traceparent, child.tracestate) == ("00-aa-bb-01", "x=y")
    assert child.id != "mine"
    assert child.source == "shop"
    assert child.headers == {}
    assert [child.key, child.idempotency_key, child.aggregate, child.resource] == [None] * 4


async def test_no_tenant_and_tenant_not_given_are_different(bus: SeeingBus) -> None:
    @bus.subscribe("parent.one")
    async def answer(data: object, message: Message[object]) -> None:
        await bus.publish("child.inherits")
        await bus.publish("child.none", tenant=None)
        await message.publish("child.other", tenant="other")

    async with bus:
        await bus.publish("parent.one", tenant="acme")
        got = await bus.seen()
    assert {e.topic: e.tenant for e in got} == {
        "child.inherits": "acme",
        "child.none": None,
        "child.other": "other",
    }


async def test_whatever_a_handler_publishes_is_a_child(bus: SeeingBus) -> None:
    @bus.subscribe("parent.one")
    async def answer(data: object, message: Message[object]) -> None:
        await bus.publish(Made("express"))
        await bus.publish("child.by.name", {})
        await bus.publish_many([Made("many")])
        await bus.publish(message.child(Made("child")))
        await message.publish(Made("message"))
        await anyio.to_thread.run_sync(bus.from_thread.publish, Made("thread"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.publish, Made("task"))

    async with bus:
        parent = await bus.publish("parent.one", user="ada")
        got = await bus.seen()
        await bus.publish(Made("outside"))
        outside = (await bus.seen())[-1]
    assert len(got) == 8
    assert {(e.causation_id, e.correlation_id, e.user) for e in got[:-1]} == {
        (parent.id, parent.id, "ada")
    }
    assert outside.causation_id is None


async def test_a_task_that_outlives_its_handler_keeps_its_parent(bus: SeeingBus) -> None:
    go = anyio.Event()

    async def later() -> None:
        await go.wait()
        await bus.publish(Made("late"))

    async with anyio.create_task_group() as tasks:

        @bus.subscribe("parent.*")
        async def answer(data: object) -> None:
            if data == 1:
                tasks.start_soon(later)

        async with bus:
            first = await bus.publish("parent.one", 1)
            await bus.publish("parent.two", 2)
            await bus.drain(timeout=5)
            go.set()
            with anyio.fail_after(5):
                while not (got := await bus.seen()):
                    await anyio.lowlevel.checkpoint()
    assert got[0].causation_id == first.id


async def test_an_idempotency_key_belongs_to_its_topic() -> None:
    bus = Bus()
    one, other, again = (
        bus.envelope(topic, idempotency_key="o-1") for topic in ("a.b", "a.c", "a.b")
    )
    assert one.duplicate_key == again.duplicate_key != other.duplicate_key
    assert bus.envelope("a.b", id="e-1").duplicate_key == "e-1"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"time": datetime(2026, 1, 1)}, r"no time zone: .* Use datetime.now\(UTC\)"),
        ({"time": 5.0}, "time=5.0: it takes a datetime with a time zone"),
        ({"id": ""}, "id='': it takes a text that is not empty; or leave it out"),
        ({"id": None}, "id=None: it takes a text that is not empty"),
        ({"source": None}, "source=None"),
        ({"correlation_id": None}, "correlation_id=None"),
        ({"key": 7}, r"key=7: it takes a text, such as str"),
        ({"tenant": 7}, "tenant=7: it takes a text"),
        ({"aggregate": "order"}, r"aggregate='order': it takes a pair of texts"),
        ({"resource": ("file", 2)}, r"it takes a pair of texts"),
        ({"headers": [("a", "b")]}, "it takes a mapping of texts to texts"),
        ({"headers": {"a": 1}}, "'a': 1: names and values are texts; put other values into"),
        ({"headers": {"Busway-Reply": "x"}}, "begin with 'busway-' are reserved.*choose another"),
        ({"colour": "red"}, "unknown option colour=; known: aggregate, causation_id"),
        ({"delay": 5}, r"delay= belongs to publish\(\)"),
    ],
)
async def test_an_option_that_cannot_be_is_refused_with_what_it_takes(
    options: Any, says: str
) -> None:
    with pytest.raises(OptionError, match=says):
        Bus().envelope("child.one", {}, **options)


@pytest.mark.parametrize(
    ("delay", "says"),
    [
        (-1, "delay=-1: it takes 0 seconds or more"),
        (float("nan"), "delay=nan"),
        (float("inf"), "delay=inf"),
        ("5", "delay='5': it takes seconds, a timedelta, or a datetime"),
        (None, "delay=None: it takes seconds"),
        (True, "delay=True"),
        (datetime(2026, 1, 1), r"has no time zone"),
    ],
)
async def test_a_delay_that_cannot_be_is_refused(delay: Any, says: str) -> None:
    async with Bus() as bus:
        with pytest.raises(OptionError, match=says):
            await bus.publish("child.one", {}, delay=delay)
        assert bus.stats().published == 0


def test_an_envelope_can_be_copied_and_pickled() -> None:
    envelope = Envelope("order.placed", {"total": 1}, "shop", 1.0)
    assert copy.deepcopy(envelope) == envelope
    assert pickle.loads(pickle.dumps(envelope)) == envelope


def test_envelopes_without_headers_share_none_and_nobody_can_add_one() -> None:
    """A dict as a default would be made anew for each of them."""
    first, second = Envelope("a"), Envelope("b")
    assert first.headers is second.headers
    with pytest.raises(TypeError):
        first.headers["a"] = "b"  # type: ignore[index]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_makes_ids_whatever_a_thread_of_its_parent_was_doing() -> None:
    """The child has the lock as it was, and not the thread that would let go of it."""
    with _envelope._identify:
        child = os.fork()
        if not child:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(5)  # ends a child that waits for ever
            os._exit(0 if Envelope("a.b").id else 1)
    assert os.waitpid(child, 0)[1] == 0
