"""``bus.lifespan``: the bus in the life of an app."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import anyio
import pytest

from busway import Bus, StateError, TransportError
from busway.testing import Flaky, PartitionedLog
from tests.facts import PATIENCE, Seen, noting, until

pytestmark = pytest.mark.anyio


async def test_a_lifespan_takes_the_app_or_nothing() -> None:
    bus = Bus()
    async with bus.lifespan():
        assert bus.running
    async with bus.lifespan(object()):
        assert bus.running
    assert not bus.running


async def test_a_lifespan_gives_the_state_that_starlette_keeps_for_requests() -> None:
    bus = Bus()
    async with bus.lifespan(object()) as state:
        assert state == {"bus": bus}


async def test_leaving_a_lifespan_drains_the_bus() -> None:
    bus, seen = Bus(), Seen()
    bus.add(noting(seen), "a.b")
    async with bus.lifespan():
        for number in range(10):
            await bus.publish("a.b", number)
    assert seen.items == list(range(10))


async def test_one_bus_in_two_apps_at_once_is_an_error_that_says_what_to_do() -> None:
    bus = Bus()
    async with bus.lifespan("one"):
        with pytest.raises(StateError, match=r"in use.*Give each app a Bus of its own"):
            async with bus.lifespan("two"):
                pytest.fail("two apps have one bus")
        assert bus.running, "the first app keeps it"
    async with bus.lifespan("two"):
        assert bus.running, "one app after another may have it"


async def test_a_lifespan_of_a_bus_that_runs_is_an_error_that_says_what_to_do() -> None:
    async with Bus() as bus:
        with pytest.raises(StateError, match=r"bus is running.*leave out lifespan="):
            async with bus.lifespan():
                pytest.fail("it was started twice")
        assert bus.running, "whoever started it keeps it"


async def test_starting_a_bus_in_its_lifespan_is_an_error() -> None:
    bus = Bus()
    async with bus.lifespan():
        with pytest.raises(StateError, match=r"bus is running"):
            await bus.start()


async def test_a_bus_that_was_stopped_in_its_lifespan_is_left_in_peace() -> None:
    bus = Bus()
    async with bus.lifespan():
        await bus.stop()
        with pytest.raises(StateError, match="bus is stopped"):
            await bus.publish("a.b", 1)
    async with bus.lifespan():
        assert bus.running


async def test_leaving_a_lifespan_raises_why_the_bus_stopped_by_itself() -> None:
    transport = Flaky(PartitionedLog())
    bus = Bus(transport, service="s")
    bus.add(noting(Seen()), "a.b")
    transport.fail("ack", times=math.inf, error=ZeroDivisionError("a bug of the adapter"))
    with anyio.fail_after(PATIENCE), pytest.raises(TransportError):  # noqa: PT012
        async with bus.lifespan():
            await bus.publish("a.b", 1)
            await until(lambda: not bus.running)


async def test_an_error_of_the_app_passes_through_and_the_bus_is_stopped() -> None:
    bus = Bus()
    with pytest.raises(ZeroDivisionError, match="the app's"):
        async with bus.lifespan():
            raise ZeroDivisionError("the app's")
    assert not bus.running


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a framework for which a distribution is installed that embeds a bus."""
    embeds = ModuleType("busway_imagined")

    def embed(bus: Bus, lifespan: Callable[..., Any]) -> Callable[..., Any]:
        return lambda app=None: (bus, app, lifespan)

    embeds.embed = embed  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "busway_imagined", embeds)
    point = EntryPoint("imagined", "busway_imagined:embed", "busway.frameworks")
    monkeypatch.setattr(
        "importlib.metadata.entry_points",
        lambda *, group: [point] if group == "busway.frameworks" else [],
    )
    return "imagined"


async def test_what_is_installed_for_a_framework_wraps_the_lifespan_once_it_is_imported(
    framework: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = Bus()
    async with bus.lifespan("app"):
        assert bus.running, "a framework that the program does not use changes nothing"
    monkeypatch.setitem(sys.modules, framework, ModuleType(framework))
    given, app, plain = bus.lifespan("app")  # type: ignore[misc]
    assert (given, app) == (bus, "app")
    async with plain():
        assert bus.running


# --- in frameworks ----------------------------------------------------------------------------


def starlette(bus: Bus) -> Any:
    from starlette.applications import Starlette

    return Starlette(lifespan=bus.lifespan)


def fastapi(bus: Bus) -> Any:
    from fastapi import FastAPI

    return FastAPI(lifespan=bus.lifespan)


def litestar(bus: Bus) -> Any:
    from litestar import Litestar

    return Litestar([], lifespan=[bus.lifespan])


@pytest.mark.parametrize("make", [starlette, fastapi, litestar])
async def test_the_bus_runs_while_an_asgi_app_does(make: Callable[[Bus], Any]) -> None:
    bus = Bus()
    app, state = make(bus), dict[str, Any]()
    told: list[str] = []
    may_end = anyio.Event()

    async def receive() -> dict[str, Any]:
        if not told:
            return {"type": "lifespan.startup"}
        assert bus.running
        await may_end.wait()
        return {"type": "lifespan.shutdown"}

    async def send(message: Any) -> None:
        told.append(message["type"])
        may_end.set()

    with anyio.fail_after(PATIENCE):
        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": state}, receive, send)
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert not bus.running
    if make is not litestar:
        assert state["bus"] is bus, "as request.state.bus"
