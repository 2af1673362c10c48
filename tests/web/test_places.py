"""Where a browser is: before its first event, in the history, and when the bus starts again."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from typing import Any

import anyio
import msgspec
import pytest

from busway import Bus, Envelope, StateError
from busway.asgi import BusMiddleware, EventStream
from busway.asgi._asked import asked
from busway.asgi._entry import Entry, entry_of, place_of, shown
from busway.asgi._origin import origin_of
from busway.asgi._problem import Problem
from busway.asgi._recall import recall
from busway.asgi._ring import Ring
from busway.memory import MemoryTransport
from busway.testing import PartitionedLog
from tests.web.test_asgi import Server

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 5


def place_in(piece: bytes) -> str:
    return piece.partition(b"id: ")[2].partition(b"\n")[0].decode()


async def next_data(stream: EventStream, last: str) -> bytes:
    """What one who comes back with this id is sent first."""
    body = stream.body(last_event_id=last)
    await anext(body)
    got = await anext(body)
    await body.aclose()
    return got


async def test_who_has_seen_no_event_yet_comes_back_to_what_came_meanwhile() -> None:
    bus = Bus(service="shop")
    stream = EventStream(bus, "order.*")
    with anyio.fail_after(PATIENCE):
        async with bus:
            body = stream.body()
            place = place_in(await anext(body))
            await body.aclose()
            await bus.publish("order.placed", 1)
            await bus.drain()
            got = await next_data(stream, place)
    assert b'"data":1' in got
    assert b"busway.gap" not in got


async def test_a_heartbeat_says_where_a_browser_is_that_is_shown_little() -> None:
    bus = Bus(service="shop")
    stream = EventStream(bus, "order.*", heartbeat=0.01)
    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("order.placed", 1)
            await bus.drain()
            body = stream.body(topics=["order.paid"])
            await anext(body)
            await bus.publish("order.placed", 2)
            await bus.drain()
            beat = await anext(body)
            await body.aclose()
            await bus.publish("order.placed", 3)
            await bus.drain()
            got = await next_data(stream, place_in(beat))
    assert beat.startswith(b":\n")
    assert got.count(b"data: ") == 1
    assert b'"data":3' in got


async def test_a_place_holds_in_another_process_by_the_event_before_it() -> None:
    shared = MemoryTransport(history=100)
    one, two = Bus(shared, service="one"), Bus(shared, service="two")
    first, second = EventStream(one, "order.*"), EventStream(two, "order.*")
    with anyio.fail_after(PATIENCE):
        async with one:
            await one.publish("order.placed", 1)
            await one.drain()
            body = first.body()
            place = place_in(await anext(body))
            await body.aclose()
            await one.publish("order.placed", 2)
            await one.drain()
            async with two:
                got = await next_data(second, place)
    assert got.count(b"data: ") == 1
    assert b'"data":2' in got


@pytest.mark.parametrize("said", ["!", "!x", "!1!", "!1!a!b", "!--1", "!1x", "!" + "1" * 16])
def test_what_is_no_place_is_refused(said: str) -> None:
    assert isinstance(asked(f"0123abcd.{said}", [], ["**"]), Problem)


async def test_a_place_that_nobody_was_told_is_a_gap() -> None:
    bus = Bus(service="shop")
    stream = EventStream(bus, "order.*")
    with anyio.fail_after(PATIENCE):
        async with bus:
            body = stream.body()
            run = place_in(await anext(body)).partition(".")[0]
            await body.aclose()
            for number in ("7", "-7"):
                assert b"busway.gap" in await next_data(stream, f"{run}.!{number}")


# --- the history --------------------------------------------------------------------------------


def entry(id: str, at: float = 0.0) -> Entry:
    return Entry(id, "order.placed", at, f"{id};".encode())


async def test_history_ends_where_what_came_begins() -> None:
    transport = MemoryTransport(history=100)
    async with Bus(transport, service="before") as before:
        events = [await before.publish("order.placed", n, key="a") for n in range(6)]
        came = {events[3].id}
        kept = await recall(transport, None, lambda topic: True, 100, came.__contains__)
        few = await recall(transport, None, lambda topic: True, 2, came.__contains__)
    assert [each.id for each in kept] == [each.id for each in events[:3]]
    assert few == [], "what came is older than the newest two: they come, too"


async def test_what_says_that_it_happened_long_ago_lies_where_it_was_written() -> None:
    transport = PartitionedLog(2)
    long_ago = datetime.fromtimestamp(1, UTC)
    async with Bus(transport, service="before") as before:
        seen = await before.publish("order.placed", 1, key="a")
        past = await before.publish("order.placed", 2, key="a", time=long_ago)
        kept = await recall(transport, None, lambda topic: True, 100)
    assert [each.id for each in kept] == [seen.id, past.id]


def test_what_follows_an_event_that_happened_long_ago_is_read_again() -> None:
    ring = Ring(10)
    for id, at in (("a", 5.0), ("past", 1.0), ("seen", 5.0)):
        ring.append(entry(id, at))
    ring.prepend([entry("old", 4.0), entry("older", 2.0)])
    start = ring.not_before("seen")
    assert start is not None
    assert ring.read(start, 100, None)[0] == b"a;past;seen;"
    past = Ring(10)
    past.prepend([entry("first", 4.0), entry("late", 1.0), entry("seen", 4.0)])
    assert past.read(past.not_before("seen") or 0, 100, None)[0] == b"first;late;seen;"


def test_the_time_of_what_is_not_kept_any_more_counts_for_what_follows_it() -> None:
    ring = Ring(3)
    for id, at in (("gone", 5.0), ("past", 1.0), ("b", 2.0), ("seen", 3.0)):
        ring.append(entry(id, at))
    assert ring.read(ring.not_before("seen") or 0, 100, None)[0] == b"past;b;seen;"
    found = Ring(2)
    found.prepend([entry("gone", 4.0), entry("late", 1.0), entry("seen", 4.0)])
    start = found.not_before("seen")
    assert start is not None
    assert found.read(start, 100, None)[0] == b"late;seen;"


def test_a_ring_keeps_nothing_of_what_it_keeps_no_more() -> None:
    ring = Ring(3)
    ring.append(entry("e0"))
    ring.prepend([entry("old")])
    for number in range(1, 20):
        ring.append(entry(f"e{number}"))
    held: list[dict[Any, Any]] = [each for each in vars(ring).values() if isinstance(each, dict)]
    assert max(map(len, held)) == 3


def test_who_saw_an_event_in_the_history_sees_what_came_before_it_came_again() -> None:
    ring = Ring(10)
    ring.append(entry("e0"))
    ring.prepend([entry("e1")])
    ring.append(entry("e1"))
    after = ring.after("e1")
    assert after is not None
    assert ring.read(after, 100, None)[0] == b"e0;e1;"


class Counting(MemoryTransport):
    """Counts how often its history is read."""

    reads = 0

    async def addresses(self, *given: Any) -> Any:
        self.reads += 1
        return await super().addresses(*given)


async def test_no_history_is_read_of_a_bus_that_has_stopped() -> None:
    transport = Counting(history=100)
    bus = Bus(transport, service="shop")
    stream = EventStream(bus, "order.*")
    with anyio.fail_after(PATIENCE):
        async with bus:
            body = stream.body(last_event_id="01234567.unknown")
            await anext(body)
        rest = [piece async for piece in body]
    assert b"busway.gap" in rest[0]
    assert transport.reads == 0


async def test_no_history_is_read_when_there_is_no_room_for_it() -> None:
    transport = Counting(history=100)
    bus = Bus(transport, service="shop")
    stream = EventStream(bus, "order.*", keep=5)
    with anyio.fail_after(PATIENCE):
        async with bus:
            for number in range(5):
                await bus.publish("order.placed", number)
            await bus.drain()
            assert b"busway.gap" in await next_data(stream, "01234567.unknown")
    assert transport.reads == 0


# --- the bus ------------------------------------------------------------------------------------


async def test_a_stream_whose_group_was_not_started_is_refused_before_the_head() -> None:
    bus = Bus(service="shop")
    stream, server = EventStream(bus, "order.*"), Server()

    async def pay(number: int) -> None: ...

    bus.add(pay, "price.asked", group="pay")
    with anyio.fail_after(PATIENCE):
        await bus.start(only=["pay"])
        await stream(server.scope, server.receive, server.send)
        with pytest.raises(StateError, match=r"'shop\.events-1' was not started"):
            stream.body()
        await bus.stop()
    assert server.sent[0]["status"] == 503
    assert b"without this stream" in server.body


async def test_a_stream_made_while_the_bus_runs_is_refused() -> None:
    async with Bus(service="shop") as bus:
        with pytest.raises(StateError, match="once, before the bus starts"):
            EventStream(bus, "order.*")
        assert not bus.topology().handlers


async def test_a_lookup_that_outlives_the_bus_ends_the_stream() -> None:
    reading, go = anyio.Event(), anyio.Event()

    class Slow(MemoryTransport):
        async def addresses(self, *given: Any) -> Any:
            reading.set()
            await go.wait()
            return await super().addresses(*given)

    bus = Bus(Slow(history=10), service="shop")
    stream = EventStream(bus, "order.*")
    rest: list[bytes] = []

    async def look() -> None:
        async for piece in stream.body(last_event_id="01234567.unknown"):
            rest.append(piece)

    with anyio.fail_after(PATIENCE):
        await bus.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
            await reading.wait()
            await bus.stop()
            await bus.start()
            go.set()
        await bus.stop()
    assert rest == [b"retry: 3000\n\n"]


# --- the server ---------------------------------------------------------------------------------


class Broken(Server):
    """A server whose client is gone, or takes nothing, at one message."""

    def __init__(self, at: str, *, hangs: bool = False, **scope: Any) -> None:
        super().__init__(**scope)
        self.at, self.hangs = at, hangs

    async def send(self, message: Any) -> None:
        last = message["type"] == "http.response.body" and not message.get("more_body")
        if self.at == ("end" if last else message["type"]):
            if self.hangs:
                await anyio.sleep_forever()
            raise OSError("gone")
        await super().send(message)


@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize("at", ["http.response.start", "http.response.body", "end"])
async def test_who_is_gone_or_takes_nothing_ends_the_stream_at_any_message(
    at: str, hangs: bool
) -> None:
    bus = Bus(service="shop")
    stream = EventStream(bus, "order.*", patience=0.05)
    server = Broken(at, hangs=hangs, method="HEAD" if at == "end" else "GET")
    with anyio.fail_after(PATIENCE):
        async with bus:
            await stream(server.scope, server.receive, server.send)
    assert stream.watching == 0


async def test_a_client_that_never_reads_holds_no_more_than_the_ring(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = Bus(service="shop")
    stream = EventStream(bus, "order.*", keep=5, patience=0.05)
    server = Broken("http.response.body", hangs=True)
    with anyio.fail_after(PATIENCE), caplog.at_level(logging.WARNING, "busway.asgi"):
        async with bus, anyio.create_task_group() as tasks:
            for number in range(20):
                await bus.publish("order.placed", number)
            await bus.drain()
            tasks.start_soon(stream, server.scope, server.receive, server.send)
            for number in range(20):
                await bus.publish("order.placed", number)
            await bus.drain()
            assert len(stream._hub.ring) == 5  # pyright: ignore[reportPrivateUsage]
    assert stream.watching == 0
    assert "event stream: a browser took nothing for 0.05 s" in caplog.messages


# --- line breaks --------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
async def test_a_line_break_in_json_off_a_wire_ends_no_line_of_the_stream(end: str) -> None:
    bus = Bus(service="shop")
    stream = EventStream(bus, "order.*")
    laid_out = msgspec.Raw(f"[1,{end}{end}2]".encode())
    with anyio.fail_after(PATIENCE):
        async with bus:
            body = stream.body()
            await anext(body)
            await bus.publish(Envelope("order.placed", laid_out, "elsewhere", 1.0))
            got = await anext(body)
            await body.aclose()
    lines = [line.partition(b": ") for line in re.split(b"\r\n|\r|\n", got)]
    assert {field for field, _, _ in lines} == {b"id", b"data", b""}
    data = b"\n".join(value for field, _, value in lines if field == b"data")
    assert msgspec.json.decode(data)["data"] == [1, 2]


async def test_a_line_break_in_an_id_or_a_topic_ends_no_line_of_the_stream() -> None:
    told = Envelope("order.a\n\nb", 1, "elsewhere", 1.0, given_id="a\n\nb!c")
    chunk = entry_of(told, "01234567", shown, named=True)
    assert chunk is not None
    place = place_of("01234567", 1, chunk)
    for piece, fields in ((chunk.chunk, [b"id", b"event", b"data"]), (place, [b"id"])):
        assert [line.partition(b":")[0] for line in piece.split(b"\n")] == [*fields, b"", b""]
    assert not isinstance(asked(place_in(place), [], ["**"]), Problem)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\n\nevent: forged\ndata: 1\n\n"])
async def test_a_line_break_in_data_begins_no_line_of_the_stream(end: str) -> None:
    bus = Bus(service="shop")
    stream = EventStream(bus, "order.*", render=lambda envelope: {end: envelope.data})
    with anyio.fail_after(PATIENCE):
        async with bus:
            body = stream.body()
            await anext(body)
            await bus.publish("order.placed", f"a{end}b")
            got = await anext(body)
            await body.aclose()
    assert b"\r" not in got
    assert [line.partition(b":")[0] for line in got.split(b"\n")] == [b"id", b"data", b"", b""]


async def test_a_line_break_in_the_path_begins_no_line_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise StateError("the bus does not run")

    server = Server(path="/a\nERROR forged\r")
    await BusMiddleware(app, Bus(service="shop"))(server.scope, server.receive, server.send)
    (said,) = (r.getMessage() for r in caplog.records if r.name == "busway.asgi")
    assert "\n" not in said
    assert "\r" not in said


@pytest.mark.parametrize("state", ["a=\x01b", "a=\tb", "a=\x7fb", "a=\xe9b", "a=" + "b" * 511, ""])
def test_a_tracestate_that_is_no_plain_text_is_dropped_and_the_trace_stays(state: str) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = [(b"traceparent", trace.encode()), (b"tracestate", state.encode("latin-1"))]
    origin = origin_of({"type": "http", "headers": headers})
    assert (origin.traceparent, origin.tracestate) == (trace, None)
    alone = origin_of({"type": "http", "headers": [headers[0], (b"tracestate", b"a=1, b=2")]})
    assert alone.tracestate == "a=1, b=2"
