"""What requests publish, in each framework, over a real server."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx
import pytest

from busway import Bus, Envelope, OptionError, Reject
from busway.asgi import BusMiddleware, EventStream
from tests.web.apps import APPS, in_fastapi
from tests.web.serving import PATIENCE, looking, serving, wait_for

__all__: list[str] = []

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WAYS = ("orders", "emit", "thread")


class Shop(NamedTuple):
    client: httpx.Client
    bus: Bus
    got: list[Envelope]

    def got_of(self, count: int) -> list[Envelope]:
        wait_for(lambda: len(self.got) >= count, f"{count} events")
        return self.got


@pytest.fixture(params=APPS)
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    bus = Bus("memory://?history=1000", service="shop")
    live = EventStream(bus, "order.*", heartbeat=0.2)
    got: list[Envelope] = []

    async def note(envelope: Envelope) -> None:
        got.append(envelope)

    async def answer(asked: dict[str, Any]) -> dict[str, Any]:
        if asked["item"] == "gold":
            raise Reject("not sold here")
        return {"item": asked["item"], "cents": 300}

    bus.add(note, "order.placed")
    bus.add(answer, "price.asked")
    with (
        serving(APPS[request.param](bus, live)) as url,
        httpx.Client(base_url=url, timeout=PATIENCE) as client,
    ):
        assert bus.running
        yield Shop(client, bus, got)
    assert not bus.running, "the bus ends with the app"


@pytest.mark.parametrize("way", WAYS)
def test_what_a_request_publishes_has_its_correlation_and_its_trace(shop: Shop, way: str) -> None:
    sent = {
        "x-correlation-id": "c-1",
        "x-request-id": "r-1",
        "traceparent": TRACE,
        "tracestate": "vendor=1",
    }
    answer = shop.client.post(f"/{way}/o-1", headers=sent)
    assert answer.is_success
    (envelope,) = shop.got_of(1)
    assert answer.json() == {
        "id": envelope.id,
        "correlation": "c-1",
        "causation": "r-1",
        "traceparent": TRACE,
        "tracestate": "vendor=1",
    }
    assert (envelope.correlation_id, envelope.causation_id) == ("c-1", "r-1")
    assert (envelope.traceparent, envelope.tracestate) == (TRACE, "vendor=1")
    assert answer.headers["x-correlation-id"] == "c-1"


def test_a_request_without_a_correlation_id_gets_one_and_is_told(shop: Shop) -> None:
    first, second = (shop.client.post(f"/orders/{n}") for n in range(2))
    one, two = shop.got_of(2)
    assert first.headers["x-correlation-id"] == first.json()["correlation"] == one.correlation_id
    assert second.headers["x-correlation-id"] == two.correlation_id != one.correlation_id


def test_requests_side_by_side_keep_their_correlation_apart(shop: Shop) -> None:
    def place(number: int) -> bool:
        way = WAYS[number % 3]
        sent = {"x-request-id": f"r-{number}"}
        said = shop.client.post(f"/{way}/{number}", headers=sent).json()
        return bool(said["correlation"] == said["causation"] == f"r-{number}")

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(place, range(300)))
    events = {e.data["id"]: e.correlation_id for e in shop.got_of(300)}
    assert events == {str(n): f"r-{n}" for n in range(300)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"x-correlation-id": "a b"},
        {"x-correlation-id": "x" * 129},
        {"x-request-id": ""},
        {"traceparent": "00-0000-01", "tracestate": "vendor=1"},
        {"traceparent": TRACE.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32)},
        {"traceparent": "ff" + TRACE[2:]},
        {"tracestate": "vendor=1"},
    ],
    ids=str,
)
def test_malformed_headers_are_passed_over(shop: Shop, wrong: dict[str, str]) -> None:
    said = shop.client.post("/orders/1", headers=wrong).json()
    (envelope,) = shop.got_of(1)
    assert envelope.correlation_id not in wrong.values()
    assert envelope.causation_id not in wrong.values()
    assert said["traceparent"] is said["tracestate"] is None


def test_what_is_published_outside_of_requests_is_a_child_of_none(shop: Shop) -> None:
    shop.client.post("/orders/1", headers={"x-correlation-id": "c-1"})
    shop.bus.from_thread.publish("order.placed", {"id": "2"})
    second = shop.got_of(2)[1]
    assert (second.correlation_id, second.causation_id) == (second.id, None)


def test_a_request_is_answered_by_an_event(shop: Shop) -> None:
    assert shop.client.get("/price/tea").json() == {"item": "tea", "cents": 300}


def test_a_request_that_its_handler_refuses_is_a_502(shop: Shop) -> None:
    answer = shop.client.get("/price/gold")
    assert (answer.status_code, answer.json()["title"]) == (502, "Not answered")


def test_a_bus_that_has_stopped_is_a_503_and_emit_answers_all_the_same(shop: Shop) -> None:
    from anyio import from_thread

    from_thread.run(shop.bus.stop, token=shop.bus.from_thread._token)
    for answer in (shop.client.post("/orders/1"), shop.client.get("/price/tea")):
        assert answer.status_code == 503
        assert answer.json()["detail"] == "The event bus does not run now."
    assert shop.client.get("/live/").status_code == 503
    assert shop.client.post("/emit/1").is_success
    assert shop.got == []


def test_the_stream_is_at_home_in_the_framework(shop: Shop) -> None:
    with looking(f"{shop.client.base_url}/live/".replace("//live", "/live")) as browser:
        placed = shop.client.post("/orders/1").json()
        (event,) = browser.take(1)
    assert (event.name, event.data["id"]) == ("message", placed["id"])
    assert event.data["type"] == "order.placed"
    assert event.data["data"] == {"id": "1"}
    assert set(event.data) == {"id", "type", "time", "subject", "data"}


def test_an_error_of_the_bus_is_logged_where_it_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = Bus(service="shop")
    app = in_fastapi(bus, EventStream(bus, "order.*"))
    with (
        serving(app) as url,
        caplog.at_level(logging.ERROR, "busway.asgi"),
    ):
        answer = httpx.get(f"{url}/price/tea", timeout=PATIENCE)  # nobody answers
    assert answer.status_code == 504
    (said,) = (r.getMessage() for r in caplog.records if r.name == "busway.asgi")
    assert said.startswith("GET '/price/tea' is answered with 504: no reply to price.asked")


def test_an_app_whose_bus_is_in_another_app_does_not_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = Bus(service="shop")
    live = EventStream(bus, "order.*")
    with serving(in_fastapi(bus, live)) as url:
        with pytest.raises(AssertionError, match="did not start"), serving(in_fastapi(bus, live)):
            pass
        assert httpx.get(f"{url}/docs", timeout=PATIENCE).is_success, "the first goes on"
    assert "bus.lifespan is in use: a bus lives in one app at a time" in caplog.text


def test_a_middleware_takes_a_bus() -> None:
    with pytest.raises(OptionError, match="it takes a Bus"):
        BusMiddleware(print, "memory://")  # type: ignore[arg-type]
