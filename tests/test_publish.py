"""Publishing: what arrives, what is refused, and that nobody is lied to about it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import msgspec
import pytest

from busway import (
    Backoff,
    Bus,
    EncodeError,
    Envelope,
    EventError,
    InvalidEvent,
    OptionError,
    PublishError,
    PublishUnknown,
    Retry,
    StateError,
    TooLarge,
    TopicError,
    TransportError,
    event,
)
from busway.codec import Codec, JsonCodec
from busway.memory import MemoryTransport
from busway.middleware import Hooks, Published, Send, publishing, trace
from busway.testing import PartitionedLog
from busway.transport import WRITTEN, NotWritten, Outcome, Outgoing, Unknown
from tests.helping import URLS, Answering, SeeingBus, down, lost, ready

__all__: list[str] = []

pytestmark = pytest.mark.anyio

SOON = Retry(attempts=2, in_place=0, backoff=Backoff(0.01))


@event("paid.order", key="number")
class Paid(msgspec.Struct, frozen=True):
    number: int
    note: str = ""


@pytest.fixture(params=URLS)
async def bus(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[SeeingBus]:
    async with SeeingBus(request.param, "**") as one:
        yield one


async def test_what_publish_returns_is_what_handlers_get(bus: SeeingBus) -> None:
    one = await bus.publish(Paid(1))
    two = await bus.publish("paid.slip", {"a": 1}, key="k")
    three, four = await bus.publish_many([Paid(2), bus.envelope("paid.slip", {"a": 2})])
    got = await bus.seen()
    assert {e.id for e in got} == {one.id, two.id, three.id, four.id}
    assert [(e.topic, e.key, e.source) for e in got if e.id == one.id] == [
        ("paid.order", "1", "shop")
    ]
    assert bus.stats().published == 4


async def test_an_envelope_is_sent_as_it_is(bus: SeeingBus) -> None:
    made = bus.envelope(Paid(3), id="mine", headers={"a": "b"}, tenant="acme")
    assert await bus.publish(made) is made
    (got,) = await bus.seen()
    assert (got.id, got.headers, got.tenant) == ("mine", {"a": "b"}, "acme")
    assert got.timestamp == pytest.approx(made.timestamp, abs=1e-6)
    with pytest.raises(OptionError, match=r"never changed: .* or make a copy"):
        await bus.publish(made, key="other")


async def test_a_hand_made_envelope_without_a_source_is_refused(bus: Bus) -> None:
    """A broker could not write it, so memory does not take it either."""
    with pytest.raises(OptionError, match=r"no source: make it with bus.envelope"):
        await bus.publish(Envelope("paid.order", {"number": 1}))


@pytest.mark.parametrize("check", ["reject", "warn", "off"])
async def test_data_published_by_name_is_checked_against_the_declared_class(
    check: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with Bus(validate=check) as bus:
        assert (await bus.publish("paid.order", {"number": 5})).key == "5"
        if check == "reject":
            with pytest.raises(
                InvalidEvent, match=r"paid.order: data does not fit Paid: .*number.*Noth"
            ):
                await bus.publish("paid.order", {"number": "five"})
        else:
            assert (await bus.publish("paid.order", {"number": "five"})).key == "five"
    warned = [r for r in caplog.records if "published all the same" in r.getMessage()]
    assert len(warned) == (check == "warn")


async def test_a_refused_event_sends_none_of_many(bus: SeeingBus) -> None:
    with pytest.raises(EventError):
        await bus.publish_many([Paid(1), object()])
    assert await bus.seen() == []


async def test_delay_holds_an_event_back_and_time_does_not(bus: SeeingBus) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    await bus.publish(Paid(1), delay=3600)
    await bus.publish(Paid(2), delay=timedelta(hours=1))
    await bus.publish(Paid(3), delay=later)
    await bus.publish(Paid(4), time=later)
    await bus.publish(Paid(5), delay=0)
    got = await bus.seen()
    assert sorted(e.key for e in got if e.key) == ["4", "5"]
    assert next(e.time for e in got if e.key == "4") == later


async def test_many_of_nothing_is_nothing(bus: Bus) -> None:
    assert await bus.publish_many([]) == []


@pytest.mark.parametrize(
    ("answer", "error", "says", "counter"),
    [
        (down, PublishError, r"^not sent: the broker is down", "publish_failed"),
        (lost, PublishUnknown, "^may have been written: the connection died", "publish_unknown"),
    ],
)
async def test_an_error_says_whether_it_was_sent(
    answer: Any, error: type[Exception], says: str, counter: str
) -> None:
    async with Bus(Answering(answer)) as bus:
        with pytest.raises(error, match=says) as caught:
            await bus.publish(Paid(1))
        with pytest.raises(error):
            await bus.publish_many([Paid(2)])
        stats = bus.stats()
    failed = caught.value.failed  # type: ignore[attr-defined]
    assert [envelope.data for envelope, _ in failed] == [Paid(1)]
    assert isinstance(caught.value.__cause__, TransportError)
    assert (getattr(stats, counter), stats.published) == (2, 0)


async def test_what_an_adapter_raises_instead_of_answering_is_unknown() -> None:
    transport = Answering()
    transport.raises = ConnectionResetError("gone")
    async with Bus(transport) as bus:
        with pytest.raises(PublishUnknown, match="may have been written: gone"):
            await bus.publish(Paid(1))
        with pytest.raises(PublishUnknown, match="2 of 2 events: may have been written"):
            await bus.publish_many([Paid(1), Paid(2)])


def by_number(item: Outgoing) -> Outcome:
    number = item.content.data.number  # type: ignore[union-attr]
    answers: dict[int, Outcome] = {
        2: NotWritten(TransportError("full")),
        3: Unknown(TransportError("silence")),
    }
    return answers.get(number, WRITTEN)


@publishing
def passing(send: Send) -> Send:
    async def passed(envelope: Envelope) -> None:
        await send(envelope)

    return passed


@pytest.mark.parametrize("middleware", [(), (passing,)], ids=["plain", "through middleware"])
async def test_many_name_those_that_failed_and_send_all_others(middleware: Any) -> None:
    transport = Answering(by_number)
    async with Bus(transport, middleware=middleware) as bus:
        with pytest.raises(
            PublishUnknown, match="2 of 4 events: 1 of them may have been"
        ) as caught:
            await bus.publish_many([Paid(n) for n in (1, 2, 3, 4)])
        failed = [(envelope.key, str(cause)) for envelope, cause in caught.value.failed]
        assert [key for key, _ in failed] == ["2", "3"]
        assert [item.content.key for item in transport.sent] == ["1", "3", "4"]  # type: ignore[union-attr]
        with pytest.raises(PublishError, match="1 of 2 events: not sent: full"):
            await bus.publish_many([Paid(1), Paid(2)])
        assert bus.stats().published == 3


async def test_a_large_number_is_sent_in_order_and_counted() -> None:
    transport = Answering()
    async with Bus(transport) as bus:
        await bus.publish_many(Paid(n) for n in range(2400))
        assert [data.number for data in transport.data] == list(range(2400))
        assert transport.calls == 3
        assert bus.stats().published == 2400


class Unwritable:
    """No codec knows it."""


async def test_what_cannot_be_encoded_is_not_sent() -> None:
    async with Bus("memory://?codec=json") as bus:
        got: list[object] = []
        bus.add(got.append, "**", group="all")
        await ready(bus)
        with pytest.raises(
            EncodeError, match=r"paid.slip: dict cannot be encoded.*Use msgspec"
        ) as one:
            await bus.publish("paid.slip", {"a": Unwritable()})
        assert [envelope.topic for envelope, _ in one.value.failed] == ["paid.slip"]
        slips = [bus.envelope("paid.slip", {"a": each}) for each in (1, Unwritable(), 3)]
        with pytest.raises(PublishError, match="1 of 3 events: not sent") as many:
            await bus.publish_many(slips)
        assert [envelope for envelope, _ in many.value.failed] == [slips[1]]
        await bus.drain(timeout=5)
    assert got == [{"a": 1}, {"a": 3}]


@pytest.mark.parametrize("codec", ["json", "msgpack"])
async def test_an_envelope_over_the_size_limit_is_not_sent(codec: str) -> None:
    async with Bus("memory://?codec=json", codec=codec, max_size=1000) as bus:
        got: list[object] = []
        bus.add(got.append, "**", group="all")
        await ready(bus)
        await bus.publish("paid.slip", "x" * 500)
        with pytest.raises(TooLarge, match=r"over the limit of 1,000\. Send a reference"):
            await bus.publish("paid.slip", "x" * 1000)
        await bus.drain(timeout=5)
    assert got == ["x" * 500]


class Brief:
    """A codec of the application's own, which looks at no size."""

    name = "brief"
    content_type = JsonCodec.content_type

    def encode(self, envelope: Envelope, /) -> bytes:
        return JsonCodec(None).encode(envelope)


async def test_the_size_limit_holds_for_a_codec_of_ones_own() -> None:
    async with Bus("memory://?codec=json", codec=Brief(), max_size=1000) as bus:
        await bus.publish("paid.slip", "x" * 500)
        with pytest.raises(TooLarge, match=r"paid\.slip: .* over the limit of 1,000\. Send a"):
            await bus.publish("paid.slip", "x" * 1000)


async def test_a_codec_of_ours_keeps_the_limit_it_was_made_with() -> None:
    async with Bus("memory://?codec=json", codec=JsonCodec(2000), max_size=1000) as bus:
        await bus.publish("paid.slip", "x" * 1000)


@pytest.mark.parametrize("codec", ["json", Brief()])
async def test_what_the_bus_sends_again_has_no_size_limit(codec: str | Codec) -> None:
    """A foreign event written again can grow; held to the limit it would come for ever."""
    transport = PartitionedLog()
    small = Bus(transport, service="small", codec=codec, max_size=100)

    @small.subscribe("**", group="small", retry=SOON)
    async def fail(slip: str) -> None:
        raise ValueError("no")

    async with small, Bus(transport, service="large") as large:
        with pytest.raises(TooLarge):
            await small.publish("paid.slip", "x" * 500)
        await large.publish("paid.slip", "x" * 500)
        with anyio.fail_after(10):
            while not small.stats().dead:
                await anyio.lowlevel.checkpoint()
        (letter,) = await small.dead_letters("small").list()
        assert letter.attempts == 2


async def test_publishing_before_the_start_and_after_the_stop_says_what_to_do() -> None:
    bus = Bus()
    for state in ("not started", "stopped"):
        for call in (
            lambda: bus.publish(Paid(1)),
            lambda: bus.publish_many([Paid(1)]),
            lambda: bus.publish("paid.slip", {}),
            lambda: bus.request(Paid(1)),
        ):
            with pytest.raises(
                StateError, match=rf"the bus is {state}: publish inside `async with"
            ):
                await call()
        await bus.start()
        await bus.stop()


@pytest.mark.parametrize("topic", ["order.*", "order.{a,b}", "order.?", "**"])
async def test_a_publishers_topic_holds_no_wildcard(bus: Bus, topic: str) -> None:
    with pytest.raises(TopicError, match="is for patterns: publish to one exact topic"):
        await bus.publish(topic, {})
    with pytest.raises(TopicError, match="is for patterns"):
        await bus.publish(msgspec.structs.replace(bus.envelope(Paid(1)), type=topic))


async def test_an_event_of_an_undeclared_class_is_refused(bus: Bus) -> None:
    class Other(msgspec.Struct):
        a: int

    with pytest.raises(EventError, match=r"Other is not declared as an event: put @event.*by name"):
        await bus.publish(Other(1))
    with pytest.raises(EventError, match="of type dict does not say its topic: publish it by name"):
        await bus.publish({"a": 1})


async def test_an_event_is_given_without_data(bus: Bus) -> None:
    with pytest.raises(OptionError, match=r"data goes with a topic's name"):
        await bus.publish(Paid(1), {"a": 1})


async def test_null_accepts_and_forgets() -> None:
    async with Bus("null://") as bus:
        got: list[object] = []
        bus.add(got.append, "**")
        assert (await bus.publish(Paid(1))).key == "1"
        assert len(await bus.publish_many([Paid(1), Paid(2)])) == 2
        assert bus.stats().published == 3
    assert got == []


async def test_a_stop_does_not_wait_for_a_group_that_is_only_being_opened() -> None:
    bus = Bus("null://")
    for _ in range(20):  # which of the two tasks comes first is trio's choice
        await bus.start()
        subscription = bus.add(print, "**", group="all")
        with anyio.fail_after(5):
            await bus.stop()
        await bus.start()  # it is wanted again
        await ready(bus)
        await subscription.stop()
        await bus.stop()


async def test_a_bus_that_only_publishes_takes_no_subscription() -> None:
    async with Bus(publish_only=True) as bus:
        await bus.publish(Paid(1))
        with pytest.raises(StateError, match="publish_only=True: it takes no subscriptions"):
            bus.subscribe("**")(print)


async def test_each_event_that_arrived_is_told_to_the_hooks() -> None:
    told: list[Published] = []

    class Telling(Hooks):
        def published(self, details: Published) -> None:
            told.append(details)

    transport = Answering(by_number)
    async with Bus(transport, middleware=(trace(Telling()),)) as bus:
        await bus.publish(Paid(1))
        with pytest.raises(PublishError):
            await bus.publish(Paid(2))
        with pytest.raises(PublishUnknown):
            await bus.publish_many([Paid(4), Paid(3), Paid(5)])
        bus.emit(Paid(6))
    assert [(each.envelope.key, each.channel) for each in told] == [
        (key, "paid") for key in ("1", "4", "5", "6")
    ]
    assert all(each.seconds >= 0 for each in told)


@pytest.mark.parametrize("url", URLS)
async def test_the_publish_sides_middleware_is_around_every_way_to_publish(url: str) -> None:
    stamped: list[str] = []

    @publishing
    def stamp(send: Send) -> Send:
        async def stamping(envelope: Envelope) -> None:
            stamped.append(envelope.topic)
            await send(msgspec.structs.replace(envelope, headers={"stamp": "yes"}))

        return stamping

    async with Bus(url, middleware=(stamp,)) as bus:
        got: list[Envelope] = []

        @bus.subscribe("**", group="all")
        async def see(envelope: Envelope) -> str:
            got.append(envelope)
            return "seen"

        await ready(bus)
        await bus.publish("way.publish")
        await bus.publish("way.delay", delay=0.001)
        await bus.publish_many([bus.envelope("way.many")])
        bus.emit("way.emit")
        assert await bus.request("way.request", timeout=5) == "seen"
        assert await bus.request("way.later", timeout=5, delay=0.001) == "seen"
        with anyio.fail_after(5):
            while len(got) < 6:
                await anyio.lowlevel.checkpoint()
    assert {e.headers["stamp"] for e in got} == {"yes"}
    assert sorted(stamped) == sorted(e.topic for e in got)
    assert len(stamped) == 6


async def test_a_delay_through_middleware_is_still_a_delay() -> None:
    transport = Answering()
    async with Bus(transport, middleware=(passing,)) as bus:
        await bus.publish(Paid(1), delay=3600)
        await bus.publish(Paid(2))
    assert [item.due is not None for item in transport.sent] == [True, False]


async def test_distinct_topics_do_not_grow_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("busway._sealing._KEPT", 100)
    async with Bus("null://") as bus:
        for number in range(500):
            await bus.publish(f"topic.number{number}", {})
        assert len(bus._parts.sealer._by_topic) <= 100


async def test_a_foreign_topic_that_breaks_our_rules_is_retried_like_any_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Looking for its class's policy, the bus must not judge its name."""
    transport = MemoryTransport()
    async with Bus(transport, retry=Retry(attempts=2)) as bus:

        @bus.subscribe("**", group="all")
        async def fail(data: object) -> None:
            raise ValueError("no")

        await ready(bus)
        foreign = Envelope("com.acme/order placed*", {}, "elsewhere", 1.0)
        item = Outgoing(
            foreign, bus._parts.sealer.route_to("com.x").address, bus._parts.runtime.encoder
        )
        await transport.send([item], timeout=1)
        await bus.drain(timeout=5)
        (letter,) = await bus.dead_letters("all").list()
        await bus.publish(Paid(1))
        await bus.drain(timeout=5)
        assert len(await bus.dead_letters("all").list()) == 2, "and the group goes on"
    assert letter.attempts == 2
    assert not [r for r in caplog.records if r.levelno >= logging.CRITICAL]
