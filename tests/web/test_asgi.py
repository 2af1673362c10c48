"""What is hard to bring about with a server: on both event loops, by ASGI alone."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from busway import Bus, Envelope, OptionError, TransportError
from busway.asgi import BusMiddleware, EventStream, _hub, problem_of
from busway.asgi._entry import Entry
from busway.asgi._recall import recall
from busway.asgi._ring import Ring
from busway.errors import (
    EncodeError,
    PublishError,
    PublishUnknown,
    RequestFailed,
    RequestTimeout,
    StateError,
    TooLarge,
    TopicError,
)
from busway.memory import MemoryTransport
from busway.testing import PartitionedLog
from busway.transport import Address, Browsed

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 5


class Server:
    """The server's half of one request."""

    def __init__(self, **scope: Any) -> None:
        given: dict[str, Any] = {"headers": [], "query_string": b"", **scope}
        self.scope: dict[str, Any] = {"type": "http", "method": "GET", **given}
        self.sent: list[dict[str, Any]] = []
        self.gone = anyio.Event()
        self.got = anyio.Event()
        self.breaks = False

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self.breaks:
            raise OSError("gone")
        self.sent.append(message)
        if b"data:" in message.get("body", b""):
            self.got.set()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


async def test_a_stream_ends_when_the_browser_is_gone_and_with_the_bus() -> None:
    bus = Bus(service="shop")
    stream = EventStream(bus, "order.*")
    one, two = Server(), Server()
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks, bus:
            for server in (one, two):
                tasks.start_soon(stream, server.scope, server.receive, server.send)
            await anyio.wait_all_tasks_blocked()
            await bus.publish("order.placed", 1)
            await one.got.wait()
            await two.got.wait()
            one.gone.set()
            while stream.watching == 2:
                await anyio.lowlevel.checkpoint()
            await bus.publish("order.placed", 2)
    assert b'"data":2' not in one.body
    assert b'"data":2' in two.body
    assert two.sent[-1] == {"type": "http.response.body", "body": b""}
    assert stream.watching == 0


async def test_a_server_that_says_by_an_error_that_nobody_is_there_ends_the_stream() -> None:
    bus = Bus(service="shop")
    stream, server = EventStream(bus, "order.*"), Server()
    with anyio.fail_after(PATIENCE):
        async with bus, anyio.create_task_group() as tasks:
            tasks.start_soon(stream, server.scope, server.receive, server.send)
            await anyio.wait_all_tasks_blocked()
            server.breaks = True
            await bus.publish("order.placed", 1)
    assert stream.watching == 0


async def test_a_stream_is_no_websocket_and_no_app_of_its_own() -> None:
    stream, server = EventStream(Bus(service="shop"), "order.*"), Server()
    await stream({"type": "websocket"}, server.receive, server.send)
    assert server.sent == [{"type": "websocket.close", "code": 1003}]
    with pytest.raises(OptionError, match="mounted in an app"):
        await stream({"type": "lifespan"}, server.receive, server.send)


async def test_a_websocket_has_the_bus_and_its_correlation_too() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            seen.append(dict(scope))
            return
        seen.append(await scope["state"]["bus"].publish("order.placed", 1))
        await send({"type": "websocket.accept"})
        await scope["state"]["bus"].stop()
        await scope["state"]["bus"].publish("order.placed", 2)

    bus, server = Bus(service="shop"), Server(type="websocket", headers=[(b"x-request-id", b"r")])
    around = BusMiddleware(app, bus)
    await around({"type": "lifespan"}, server.receive, server.send)
    assert seen.pop() == {"type": "lifespan"}
    async with bus:
        with pytest.raises(StateError):  # there is no answer to give
            await around(server.scope, server.receive, server.send)
    assert (seen[0].correlation_id, seen[0].causation_id) == ("r", "r")
    assert server.sent[0]["headers"] == [(b"x-correlation-id", b"r")]


async def test_an_error_after_the_answer_has_begun_is_raised_and_not_answered_again() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 202, "headers": []})
        raise StateError("the bus has stopped")

    bus, server = Bus(service="shop"), Server(path="/orders")
    with pytest.raises(StateError, match="the bus has stopped"):
        await BusMiddleware(app, bus)(server.scope, server.receive, server.send)
    assert [(each["type"], each["status"]) for each in server.sent] == [
        ("http.response.start", 202)
    ]


async def test_a_correlation_id_that_the_app_answers_with_is_kept() -> None:
    own = [(b"X-Correlation-ID", b"of the app"), (b"content-type", b"text/plain")]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": own})
        await send({"type": "http.response.body", "body": b""})

    bus, server = Bus(service="shop"), Server(headers=[(b"x-correlation-id", b"c-1")])
    await BusMiddleware(app, bus)(server.scope, server.receive, server.send)
    assert server.sent[0]["headers"] == own


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StateError(), 503),
        (PublishError(""), 503),
        (TransportError(""), 503),
        (PublishUnknown(""), 503),
        (TooLarge(""), 413),
        (RequestFailed("", "Reject"), 502),
        (RequestTimeout(), 504),
        (EncodeError(""), None),
        (TopicError(""), None),
        (KeyError(), None),
    ],
    ids=repr,
)
async def test_what_an_error_is_to_a_client(error: Exception, status: int | None) -> None:
    problem = problem_of(error)
    assert (problem.status if problem else None) == status
    if isinstance(error, PublishUnknown):
        assert problem is not None
        assert problem.headers == (), "nobody is asked to send it again"


# --- the ring ---------------------------------------------------------------------------------


def entry(id: str, at: float = 0.0) -> Entry:
    return Entry(id, "order.placed", at, f"{id};".encode())


def ring_of(bound: int, *ids: str) -> Ring:
    ring = Ring(bound)
    for id in ids:
        ring.append(entry(id))
    return ring


async def test_a_ring_keeps_the_last_and_each_once() -> None:
    ring = ring_of(3, *"abcdbe")
    assert ring.read(ring.first, 100, None) == (b"c;d;e;", ring.end)
    assert len(ring) == 3
    assert not ring.append(entry("e"))
    assert ring.after("a") is None


async def test_what_is_older_goes_before_as_far_as_there_is_room() -> None:
    ring = ring_of(4, *"cd")
    ring.prepend([entry(id) for id in "xabc"])
    assert ring.read(ring.first, 100, None)[0] == b"a;b;c;d;"
    ring.append(entry("e"))
    assert ring.read(ring.first, 100, None)[0] == b"b;c;d;e;"
    assert ring.after("a") is None
    assert ring.read(ring.after("b") or 0, 100, None)[0] == b"c;d;e;"


async def test_who_comes_from_another_process_gets_rather_twice_than_not_at_all() -> None:
    """Over there `c` came before `a` and `b`, which are no older, and are of other keys."""
    ring = Ring(10)
    for id, at in (("x", 1.0), ("a", 2.0), ("o", 1.5), ("b", 3.0), ("c", 2.0), ("d", 4.0)):
        ring.append(entry(id, at))
    start = ring.not_before("c")
    assert start is not None
    assert ring.read(start, 100, None)[0] == b"a;o;b;c;d;"
    after = ring.not_before("d")
    assert after == ring.end, "nothing is no older than the newest"
    assert ring.not_before("unknown") is None


async def test_a_piece_is_no_larger_than_asked_for_and_one_entry_at_least() -> None:
    ring = ring_of(10, "aa", "bb", "cc")
    assert ring.read(0, 6, None) == (b"aa;bb;", 2)
    assert ring.read(2, 1, None) == (b"cc;", 3)
    assert ring.read(0, 100, lambda topic: False) == (b"", 3)


# --- reading what the transport keeps ----------------------------------------------------------


class Away(MemoryTransport):
    """A broker whose history cannot be read; ``hangs``: for ever."""

    hangs = False
    asked = 0

    async def addresses(self, *_: Any) -> Sequence[Address]:
        self.asked += 1
        if self.hangs:
            await anyio.sleep_forever()
        raise TransportError("the broker is away")

    async def browse(self, *_: Any, **__: Any) -> AsyncIterator[Browsed]:
        raise AssertionError
        yield


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_history_that_cannot_be_read_is_a_gap_and_not_asked_for_by_each(
    hangs: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_hub, "_READING", 0.05)
    transport = Away(history=10)
    transport.hangs = hangs
    bus = Bus(transport, service="shop")
    stream = EventStream(bus, "order.*")
    with anyio.fail_after(PATIENCE), caplog.at_level(logging.WARNING, "busway.asgi"):
        async with bus:
            for _ in range(5):
                body = stream.body(last_event_id="01234567.unknown")
                assert await anext(body) == b"retry: 3000\n\n"
                assert b"event: busway.gap" in await anext(body)
                await body.aclose()
    assert transport.asked == 1
    (said,) = [r.getMessage() for r in caplog.records if r.name == "busway.asgi"]
    assert "took longer" in said if hangs else "is away" in said


async def test_history_is_read_once_for_all_who_come_back_at_once() -> None:
    class Counting(MemoryTransport):
        asked = 0

        async def addresses(self, *given: Any) -> Sequence[Address]:
            self.asked += 1
            await anyio.lowlevel.checkpoint()
            return await super().addresses(*given)

    transport = Counting(history=100)
    events: list[Envelope] = []
    async with Bus(transport, service="before") as before:
        for number in range(10):
            events.append(await before.publish("order.placed", number))
            await before.publish("order.placed.again", number)
    bus = Bus(transport, service="after")
    stream = EventStream(bus, "order.*", render=lambda envelope: envelope.data)
    got: list[bytes] = []

    async def come_back(number: int) -> None:
        body = stream.body(last_event_id=f"01234567.{events[number].id}")
        await anext(body)
        got.append(await anext(body))
        await body.aclose()

    with anyio.fail_after(PATIENCE):
        async with bus, anyio.create_task_group() as tasks:
            for number in range(9):
                tasks.start_soon(come_back, number)
    assert transport.asked == 1
    assert sorted(body.count(b"data: ") for body in got) == list(range(1, 10))


async def test_what_lies_in_partitions_is_read_in_the_order_of_time_and_the_newest_is_kept() -> (
    None
):
    transport = PartitionedLog(3)
    async with Bus(transport, service="before") as before:
        events = [await before.publish("order.placed", n, key=str(n)) for n in range(40)]
        await before.publish("other.thing", 1)
        kept = await recall(transport, None, lambda topic: topic.startswith("order"), 30)
    assert [envelope.id for envelope in kept] == [envelope.id for envelope in events[10:]]


async def test_ones_own_order_is_exact_and_that_of_another_run_is_not_relied_on() -> None:
    bus = Bus(service="shop")
    stream = EventStream(bus, "order.*", render=lambda envelope: envelope.data)
    one, two = datetime.fromtimestamp(1, UTC), datetime.fromtimestamp(2, UTC)
    with anyio.fail_after(PATIENCE):
        async with bus:
            first = stream.body()
            await anext(first)
            for name, at in (("x", one), ("a", two), ("c", two), ("d", two)):
                await bus.publish("order.placed", name, id=name, time=at)
            sent = b""
            while b'"d"' not in sent:
                sent += await anext(first)
            run = sent.partition(b"id: ")[2].partition(b".")[0].decode()
            after = {}
            for name in (run, "01234567"):
                body = stream.body(last_event_id=f"{name}.c")
                await anext(body)
                got = await anext(body)
                after[name] = [line for line in got.decode().split("\n") if "data" in line]
                await body.aclose()
            await first.aclose()
    assert after == {
        run: ['data: "d"'],
        "01234567": ['data: "a"', 'data: "c"', 'data: "d"'],
    }


async def test_a_model_of_pydantic_is_shown_as_it_would_be_written() -> None:
    class Order(BaseModel):
        id: str
        at: datetime

    bus = Bus(service="shop")
    body = EventStream(bus, "order.*").body
    with anyio.fail_after(PATIENCE):
        async with bus:
            stream = body()
            await anext(stream)
            await bus.publish("order.placed", Order(id="o-1", at=datetime(2026, 1, 2, tzinfo=UTC)))
            got = await anext(stream)
            await stream.aclose()
    assert b'"data":{"id":"o-1","at":"2026-01-02T00:00:00Z"}' in got
