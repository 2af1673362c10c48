"""``trace`` and its hooks."""

from __future__ import annotations

from typing import Any

import pytest

from busway.errors import OptionError
from busway.message import Envelope
from busway.middleware import (
    DeadLettered,
    Dropped,
    Handled,
    Hooks,
    Published,
    Received,
    Retried,
    hooks_of,
    log,
    trace,
)
from busway.transport import Raw

ENVELOPE = Envelope("order.placed", given_id="e-1")
RAW = Raw(b"\xff")
DETAILS: dict[str, Any] = {
    "published": Published(ENVELOPE, "order", 0.001),
    "received": Received(RAW, "billing", 1, 2),
    "handled": Handled(ENVELOPE, "billing", "charge", 1, 0.002),
    "retried": Retried(ENVELOPE, "billing", "charge", 1, 0.1, True, ValueError("no")),
    "dead_lettered": DeadLettered(ENVELOPE, "billing", "charge", 5, "ValueError", "no", None),
    "dropped": Dropped(RAW, "billing", "late reply"),
}


class Recording(Hooks):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def published(self, details: Published, /) -> None:
        self.seen.append(details)

    def received(self, details: Received, /) -> None:
        self.seen.append(details)

    def handled(self, details: Handled, /) -> None:
        self.seen.append(details)

    def retried(self, details: Retried, /) -> None:
        self.seen.append(details)

    def dead_lettered(self, details: DeadLettered, /) -> None:
        self.seen.append(details)

    def dropped(self, details: Dropped, /) -> None:
        self.seen.append(details)


class Failing(Hooks):
    def handled(self, details: Handled, /) -> None:
        raise LookupError("the metrics server is gone")


def combined(*hooks: Hooks) -> Hooks:
    found = hooks_of([trace(each) for each in hooks])
    assert found is not None
    return found


def test_without_a_trace_there_are_no_hooks_to_call() -> None:
    assert hooks_of((lambda handler: handler,)) is None


@pytest.mark.parametrize("name", DETAILS)
def test_every_trace_is_given_the_details(name: str) -> None:
    first, second = Recording(), Recording()
    getattr(combined(first, Hooks(), second), name)(DETAILS[name])
    assert first.seen == second.seen == [DETAILS[name]]


@pytest.mark.parametrize("name", DETAILS)
def test_details_are_frozen(name: str) -> None:
    field = DETAILS[name].__struct_fields__[0]
    with pytest.raises(AttributeError):
        setattr(DETAILS[name], field, None)


def test_what_a_hook_raises_is_logged_and_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    after = Recording()
    combined(Failing(), after).handled(DETAILS["handled"])
    assert after.seen == [DETAILS["handled"]]
    (record,) = caplog.records
    assert record.getMessage() == "a hook failed: Failing.handled"
    assert record.exc_info is not None
    assert record.exc_info[0] is LookupError


def test_a_class_in_place_of_an_object_is_refused() -> None:
    with pytest.raises(OptionError, match="object of a subclass of Hooks"):
        trace(Recording)  # type: ignore[arg-type]


def test_log_is_a_trace() -> None:
    assert hooks_of((log(),)) is not None
