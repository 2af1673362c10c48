"""Event streams over a real server: resumed, narrowed, too slow, gone, ended."""

from __future__ import annotations

import random
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import msgspec
import pytest
from anyio import from_thread

from busway import Bus, Envelope, OptionError, PatternError, StateError
from busway.asgi import EventStream
from busway.memory import MemoryTransport, NullTransport
from tests.servers import RedisServer
from tests.web.apps import APPS, in_fastapi, in_starlette
from tests.web.serving import PATIENCE, Event, looking, serving, wait_for

__all__: list[str] = []


def token_of(bus: Bus) -> Any:
    """Of the loop that it runs in."""
    return bus.from_thread._token  # pyright: ignore[reportPrivateUsage]


class Live(NamedTuple):
    url: str
    bus: Bus
    stream: EventStream

    def place(self, *numbers: int) -> None:
        for number in numbers:
            self.bus.from_thread.publish("order.placed", number)

    def stop_bus(self) -> None:
        from_thread.run(self.bus.stop, token=token_of(self.bus))


def numbers(events: list[Event]) -> list[Any]:
    return [event.data["data"] for event in events]


@pytest.fixture
def live() -> Iterator[Live]:
    bus = Bus(service="shop")
    stream = EventStream(bus, "order.*", "price.**", keep=100, heartbeat=0.1, retry=0.5)
    with serving(in_starlette(bus, stream)) as url:
        yield Live(f"{url}/live/", bus, stream)


def test_a_browser_sees_what_happens_from_now_on_in_order(live: Live) -> None:
    live.place(1)
    with looking(live.url) as browser:
        assert browser.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        live.place(*range(2, 60))
        assert numbers(browser.take(58)) == list(range(2, 60))
    assert browser.retry == 500


def test_who_comes_back_gets_exactly_what_it_missed(live: Live) -> None:
    with looking(live.url) as browser:
        live.place(*range(10))
        browser.take(4)
    live.place(*range(10, 20))
    with looking(live.url, after=browser.last) as again:
        live.place(20)
        assert numbers(again.take(17)) == list(range(4, 21))


def test_a_page_that_knows_where_it_is_may_say_so_in_the_url(live: Live) -> None:
    with looking(live.url) as browser:
        live.place(1, 2)
        browser.take(1)
    with looking(live.url, **{"last-event-id": browser.last}) as again:
        assert numbers(again.take(1)) == [2]


def test_who_was_away_for_too_long_is_told(live: Live) -> None:
    with looking(live.url) as browser:
        live.place(0)
        browser.take(1)
    live.place(*range(1, 150))
    with looking(live.url, after=browser.last) as again:
        live.place(150)
        gap, event = again.take(2)
    assert (gap.name, gap.data["missed"]) == ("busway.gap", None)
    assert gap.id == "", "where it is now is said after it"
    assert event.data["data"] == 150


def test_a_browser_asks_for_less_by_topic(live: Live) -> None:
    with looking(live.url, topic=["price.*.up", "order.paid"]) as browser:
        live.place(1)
        for topic in ("price.tea.down", "price.tea.up", "order.paid"):
            live.bus.from_thread.publish(topic, topic)
        assert numbers(browser.take(2)) == ["price.tea.up", "order.paid"]


@pytest.mark.parametrize(
    ("status", "title", "ask"),
    [
        (400, "No Last-Event-ID of this stream", {"headers": {"last-event-id": "42"}}),
        (400, "No Last-Event-ID of this stream", {"headers": {"last-event-id": "0" * 2000}}),
        (400, "No Last-Event-ID of this stream", {"params": {"last-event-id": "no such"}}),
        (400, "Malformed topic", {"params": {"topic": "order.[a"}}),
        (400, "Malformed topic", {"params": {"topic": ""}}),
        (400, "Too many topics", {"params": {"topic": ["order.a"] * 21}}),
        (400, "Too many topics", {"params": {"topic": "order." + "a" * 300}}),
        (404, "Unknown topic", {"params": {"topic": "flight.*"}}),
        (404, "Unknown topic", {"params": {"topic": ["order.paid", "order.paid.twice"]}}),
        (405, "Method not allowed", {"method": "POST"}),
    ],
    ids=str,
)
def test_what_cannot_be_asked_for_is_answered_with_the_reason(
    live: Live, status: int, title: str, ask: dict[str, Any]
) -> None:
    answer = httpx.request(ask.pop("method", "GET"), live.url, timeout=PATIENCE, **ask)
    assert (answer.status_code, answer.json()["title"]) == (status, title)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_what_is_unknown_is_answered_with_what_is_known(live: Live) -> None:
    answer = httpx.get(live.url, params={"topic": "flight.*"}, timeout=PATIENCE)
    assert "this stream has order.*, price.**" in answer.json()["detail"]


def test_head_is_answered_without_a_stream(live: Live) -> None:
    answer = httpx.head(live.url, timeout=PATIENCE)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"


def test_comments_keep_a_quiet_connection_alive(live: Live) -> None:
    with looking(live.url) as browser:
        assert sum(line == ":" for line in islice(browser.lines, 12)) >= 3, "and nothing happens"


@pytest.mark.parametrize("name", APPS)
def test_who_goes_away_is_noticed(name: str) -> None:
    bus = Bus(service="shop")
    stream = EventStream(bus, "order.*", heartbeat=0.1)
    with serving(APPS[name](bus, stream)) as url:
        for _ in range(20):
            with looking(f"{url}/live/") as browser:
                bus.from_thread.publish("order.placed", 1)
                browser.take(1)
                assert stream.watching >= 1
        wait_for(lambda: stream.watching == 0, "everybody is gone")


def test_who_goes_away_from_a_streaming_response_is_noticed() -> None:
    bus = Bus(service="shop")
    stream = EventStream(bus, "order.*", heartbeat=0.1)
    with serving(in_fastapi(bus, stream)) as url:
        with looking(f"{url}/own") as browser:
            bus.from_thread.publish("order.placed", 1)
            assert numbers(browser.take(1)) == [1]
            assert browser.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        bus.from_thread.publish("order.placed", 2)
        with looking(f"{url}/own", after=browser.last) as again:
            assert numbers(again.take(1)) == [2]
        wait_for(lambda: stream.watching == 0, "everybody is gone")


class Stuck:
    """A browser that asks, and reads nothing until it is told to."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(PATIENCE)
        self.socket.connect((parts.hostname, parts.port))
        self.socket.sendall(f"GET {parts.path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())

    def read_until(self, text: bytes) -> bytes:
        got = bytearray()
        while got.find(text, -70_000) < 0 and (piece := self.socket.recv(65_536)):
            got += piece
        return bytes(got)


def test_a_slow_browser_is_told_what_it_missed_and_holds_nobody_up(live: Live) -> None:
    stuck = Stuck(live.url)
    wait_for(lambda: live.stream.watching == 1, "it looks on")
    large = "x" * 10_000
    with looking(live.url) as quick:
        events = iter(quick)
        for number in range(1500):
            live.bus.from_thread.publish("order.placed", f"{number} {large}")
            assert next(events).data["data"].startswith(f"{number} ")
    got = stuck.read_until(b'"1499 ')
    said = got.partition(b"event: busway.gap")[2].partition(b"data: ")[2].partition(b"}")[0] + b"}"
    told = msgspec.json.decode(said)
    assert told["why"] == "the connection was too slow"
    seen = set(re.findall(rb'"(\d+) x', got))
    assert len(seen) + told["missed"] == 1500
    stuck.socket.close()
    wait_for(lambda: live.stream.watching == 0, "it is gone")


def test_a_browser_that_takes_nothing_is_disconnected(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus(service="shop")
    stream = EventStream(bus, "order.*", patience=0.2)
    with serving(in_starlette(bus, stream)) as url:
        stuck = Stuck(f"{url}/live/")
        wait_for(lambda: stream.watching == 1, "it looks on")
        for number in range(1000):
            bus.from_thread.publish("order.placed", f"{number}{'x' * 10_000}")
        wait_for(lambda: stream.watching == 0, "it is disconnected")
        stuck.socket.close()
    assert "event stream: a browser took nothing for 0.2 s" in caplog.messages


def test_streams_end_with_the_bus_and_lose_nothing_of_what_its_last_handlers_said() -> None:
    bus = Bus(service="shop")
    stream = EventStream(bus, "price.paid")

    async def pay(number: int) -> None:
        await bus.publish("price.paid", number)

    bus.add(pay, "order.placed", group="pay")
    with serving(in_starlette(bus, stream)) as url:
        live = Live(f"{url}/live/", bus, stream)
        with looking(live.url) as browser:
            live.place(*range(50))
            live.stop_bus()
            assert numbers(list(browser)) == list(range(50)), "and then the stream ends"
        wait_for(lambda: stream.watching == 0, "all have ended")


def test_a_stream_serves_on_when_the_bus_starts_again_and_knows_what_was_said_meanwhile() -> None:
    shared = MemoryTransport(history=100)
    bus, other = Bus(shared, service="shop"), Bus(shared, service="other")
    stream = EventStream(bus, "order.*")
    with serving(in_starlette(bus, stream)) as url:
        live = Live(f"{url}/live/", bus, stream)
        with looking(live.url) as browser:
            live.place(1)
            browser.take(1)
            live.stop_bus()
            assert list(browser) == []
        assert httpx.get(live.url, timeout=PATIENCE).status_code == 503
        token = token_of(bus)
        from_thread.run(other.start, token=token)
        other.from_thread.publish("order.placed", 2)
        from_thread.run(bus.start, token=token)
        with looking(live.url, after=browser.last) as again:
            live.place(3)
            assert numbers(again.take(2)) == [2, 3]
        from_thread.run(other.stop, token=token)


def test_browsers_that_come_and_go_under_load_miss_nothing(live: Live) -> None:
    """Twenty of them, each connection of which ends after some events."""
    count = 300
    stream = live.stream

    def look(seed: int) -> list[int]:
        chance = random.Random(seed)
        seen: list[int] = []
        last = ""
        while len(seen) < count:
            with looking(live.url, after=last) as browser:
                for event in browser:
                    assert event.name == "message", event.data
                    seen.append(event.data["data"])
                    last = event.id
                    if len(seen) >= count or chance.random() < 0.02:
                        break
        return seen

    with ThreadPoolExecutor(20) as pool:
        looks = [pool.submit(look, seed) for seed in range(20)]
        wait_for(lambda: stream.watching == 20, "all look on")
        for number in range(count):
            live.place(number)
        for look_on in looks:
            assert look_on.result(PATIENCE * 2) == list(range(count))
    wait_for(lambda: stream.watching == 0, "all are gone")


# --- where the transport keeps history --------------------------------------------------------


def two_processes(one: Bus, two: Bus) -> None:
    """A browser goes over from one to the other."""
    first = EventStream(one, "order.*", heartbeat=0.1)
    second = EventStream(two, "order.*", heartbeat=0.1)
    with serving(in_starlette(one, first)) as url:
        with looking(f"{url}/live/") as browser:
            for number in range(20):
                one.from_thread.publish("order.placed", number, key=str(number))
            browser.take(8)
        with serving(in_starlette(two, second)) as other:
            with looking(f"{other}/live/", after=browser.last) as again:
                assert numbers(again.take(12)) == list(range(8, 20))
                one.from_thread.publish("order.placed", 20)
                assert numbers(again.take(1)) == [20]
            with looking(f"{other}/live/", after=again.last) as third:
                two.from_thread.publish("order.placed", 21)
                assert numbers(third.take(1)) == [21]


def test_a_browser_goes_on_at_another_process_where_history_is_kept() -> None:
    shared = MemoryTransport(history=100)
    two_processes(Bus(shared, service="one"), Bus(shared, service="two"))


def test_a_browser_goes_on_at_another_process_over_redis(own_redis: RedisServer) -> None:
    two_processes(Bus(own_redis.url, service="one"), Bus(own_redis.url, service="two"))


def test_a_browser_goes_on_at_another_process_over_kafka(kafka_url: str) -> None:
    # One partition: events of several come in no order that another process could know.
    url = f"{kafka_url}?partitions=1&prefix=web-{uuid4().hex}-"
    two_processes(Bus(url, service="one"), Bus(url, service="two"))


def test_where_no_history_is_kept_another_process_says_so() -> None:
    bus = Bus(service="two")
    app = in_starlette(bus, EventStream(bus, "order.*"))
    with serving(app) as url, looking(f"{url}/live/", after="0123abcd.some-id") as browser:
        bus.from_thread.publish("order.placed", 1)
        gap, event = browser.take(2)
    assert (gap.name, event.data["data"]) == ("busway.gap", 1)


# --- what is made of an event -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b'{\n "a": [1,\r\n 2]\n}', None),
        (msgspec.msgpack.encode({"a": [1, 2]}), "application/msgpack"),
    ],
    ids=["json in lines", "msgpack"],
)
def test_data_off_a_wire_is_json_in_the_browser(
    live: Live, data: bytes, content_type: str | None
) -> None:
    raw = Envelope(
        "order.placed",
        msgspec.Raw(data),
        "elsewhere",
        1.0,
        given_id="a\nb: c",
        content_type=content_type,
    )
    with looking(live.url) as browser:
        live.bus.from_thread.publish(raw)
        (event,) = browser.take(1)
        live.place(2)
    assert event.data["data"] == {"a": [1, 2]}
    assert event.data["id"] == "a\nb: c"
    with looking(live.url, after=event.id) as again:
        assert numbers(again.take(1)) == [2]


def test_an_event_that_cannot_be_shown_is_left_out_and_the_stream_goes_on(live: Live) -> None:
    with looking(live.url) as browser:
        live.bus.from_thread.publish("order.placed", object())
        live.place(2)
        assert numbers(browser.take(1)) == [2]
    assert live.bus.stats().dropped == 1


def test_events_have_their_topics_for_names_and_are_shown_as_asked() -> None:
    def show(envelope: Envelope) -> Any:
        return None if envelope.data < 0 else {"n": envelope.data}

    bus = Bus(service="shop")
    stream = EventStream(bus, "order.*", named=True, render=show)
    with serving(in_starlette(bus, stream)) as url, looking(f"{url}/live/") as browser:
        for number in (-1, 1):
            bus.from_thread.publish("order.placed", number)
        (event,) = browser.take(1)
    assert (event.name, event.data) == ("order.placed", {"n": 1})


# --- made wrongly -----------------------------------------------------------------------------


def test_a_stream_that_cannot_work_is_refused() -> None:
    bus = Bus(service="shop")
    with pytest.raises(PatternError):
        EventStream(bus, "order.[a")
    with pytest.raises(OptionError, match="say which events"):
        EventStream(bus)
    with pytest.raises(OptionError, match="it takes a Bus"):
        EventStream("order.*")  # type: ignore[arg-type]
    for wrong in ({"keep": 0}, {"heartbeat": 0}, {"retry": -1}, {"patience": float("inf")}):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            EventStream(bus, "order.*", **wrong)  # type: ignore[arg-type]
    with pytest.raises(StateError, match="publish_only"):
        EventStream(Bus(NullTransport(), publish_only=True), "order.*")
    with pytest.raises(StateError, match="does not run"):
        EventStream(bus, "order.*").body()
    with pytest.raises(OptionError, match="Unknown topic"):
        EventStream(bus, "order.*").body(topics=["price"])
    with pytest.raises(OptionError, match="No Last-Event-ID"):
        EventStream(bus, "order.*").body(last_event_id="1")
