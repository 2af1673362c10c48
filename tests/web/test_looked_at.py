"""What a second pair of eyes found: a stream loses nothing to its own history, and what anybody
may ask for costs little."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from busway import Bus, PublishError, TransportError
from busway.asgi import EventStream, problem_of
from busway.asgi import _hub as hubs
from busway.asgi._asked import asked
from busway.asgi._entry import Entry
from busway.asgi._hub import Hub
from busway.asgi._problem import Problem
from busway.asgi._ring import Ring

__all__: list[str] = []


def entry(name: str) -> Entry:
    return Entry(name, "order.placed", 1.0, name.encode())


def test_what_was_found_in_the_history_before_it_came_comes_to_who_looks_on() -> None:
    ring = Ring(10)
    assert ring.append(entry("e0"))
    looking = ring.end
    ring.prepend([entry("e1")])
    assert ring.append(entry("e1"))
    assert ring.read(looking, 1000, None) == (b"e1", ring.end)
    assert not ring.append(entry("e1"))


def test_what_came_twice_is_found_where_it_came_last_when_the_first_is_gone() -> None:
    ring = Ring(3)
    assert ring.append(entry("e0"))
    ring.prepend([entry("e1")])
    assert ring.append(entry("e1"))
    assert ring.append(entry("e2"))
    assert ring.after("e1") == ring.end - 1


@pytest.mark.parametrize(
    "topic", ["order.{a,b}", "order.[ab]", "order.?", "order.a*", "order.*a", "order.***"]
)
def test_who_looks_on_asks_with_whole_segments(topic: str) -> None:
    said = asked(None, [topic], ["**"])
    assert isinstance(said, Problem)
    assert said.status == 400


@pytest.mark.parametrize("topic", ["order.placed", "order.*", "order.**", "order:*", "*", "**"])
def test_names_and_wildcards_for_whole_segments_may_be_asked_for(topic: str) -> None:
    assert not isinstance(asked(None, [topic], ["**"]), Problem)


@pytest.mark.anyio
async def test_who_goes_away_while_the_history_is_read_takes_it_from_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hangs(*_: Any) -> Any:
        await anyio.sleep_forever()

    bus = Bus("memory://?history=100", service="shop")
    stream = EventStream(bus, "order.*")
    found = vars(stream)
    (hub,) = (each for each in found.values() if isinstance(each, Hub))
    async with bus:
        sent = await bus.publish("order.placed", 1)
        real = hubs.recall
        monkeypatch.setattr(hubs, "recall", hangs)
        with anyio.move_on_after(0.05):
            await hub.place_after(f"00000000.{'x' * 8}")
        monkeypatch.setattr(hubs, "recall", real)
        await bus.drain()
        hub.ring = Ring(100)
        assert await hub.place_after(f"00000000.{sent.id}") is not None


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (PublishError("no", [(1, ValueError())]), True),
        (PublishError("2 of 5", [(1, ValueError()), (2, ValueError())]), False),
        (TransportError("away"), True),
        (TransportError("refused", retryable=False), False),
    ],
)
def test_only_what_would_be_done_once_is_to_be_asked_again(error: Any, again: bool) -> None:
    problem = problem_of(error)
    assert problem is not None
    assert any(name == "retry-after" for name, _ in problem.headers) is again
