"""``fail_open=True``: what could not be sent is logged and counted, not raised."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from busway import Bus, EventError, OptionError, StateError
from busway.middleware import Send, publishing
from tests.helping import Answering, down, lost

__all__: list[str] = []

pytestmark = pytest.mark.anyio


@publishing
def passing(send: Send) -> Send:
    return send


@pytest.mark.parametrize("middleware", [(), (passing,)], ids=["plain", "through middleware"])
@pytest.mark.parametrize(
    ("answer", "counted"), [(down, (3, 0)), (lost, (0, 3))], ids=["not sent", "unknown"]
)
async def test_both_kinds_of_failure_are_logged_and_counted(
    answer: Any, counted: tuple[int, int], middleware: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with Bus(Answering(answer), fail_open=True, middleware=middleware) as bus:
        envelope = await bus.publish("order.placed", {"a": 1}, key="k")
        many = await bus.publish_many([bus.envelope("order.paid"), bus.envelope("order.sent")])
        stats = bus.stats()
    assert (envelope.key, len(many)) == ("k", 2)
    assert (stats.publish_failed, stats.publish_unknown) == counted
    assert stats.published == 0
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert len(errors) == 2
    assert all(text.startswith("not published (fail_open): ") for text in errors)


async def test_without_it_they_are_raised() -> None:
    async with Bus(Answering(down)) as bus:
        with pytest.raises(Exception, match="not sent"):
            await bus.publish("order.placed", {})


async def test_what_cannot_be_encoded_counts_as_not_sent() -> None:
    async with Bus("memory://?codec=json", fail_open=True) as bus:
        await bus.publish("order.placed", object())
        assert (bus.stats().publish_failed, bus.stats().published) == (1, 0)


async def test_mistakes_in_the_code_are_raised_all_the_same() -> None:
    bus = Bus(Answering(down), fail_open=True)
    with pytest.raises(StateError):
        await bus.publish("order.placed", {})
    async with bus:
        with pytest.raises(EventError):
            await bus.publish(object())
        with pytest.raises(OptionError):
            await bus.publish("order.placed", {}, key=7)  # type: ignore[arg-type]
