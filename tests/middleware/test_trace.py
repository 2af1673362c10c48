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
    Trace,
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


@pytest.mark.parametrize("name", DETAILS)
def test_a_hook_that_is_not_overridden_does_nothing(name: str) -> None:
    assert getattr(Hooks(), name)(DETAILS[name]) is None


@pytest.mark.parametrize("name", DETAILS)
def test_details_are_frozen(name: str) -> None:
    field = DETAILS[name].__struct_fields__[0]
    with pytest.raises(AttributeError):
        setattr(DETAILS[name], field, None)


def test_a_class_in_place_of_an_object_is_refused() -> None:
    with pytest.raises(OptionError, match="object of a subclass of Hooks"):
        trace(Hooks)  # type: ignore[arg-type]


def test_log_is_a_trace() -> None:
    assert isinstance(log(), Trace)
