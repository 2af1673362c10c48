"""``log``: lines for people, extras for machines, secrets for nobody."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from busway.errors import BuswayError
from busway.message import Envelope
from busway.middleware import (
    DeadLettered,
    Dropped,
    Handled,
    Hooks,
    Published,
    Received,
    Retried,
    log,
)
from busway.transport import Raw

SECRET = "hunter2"
ENVELOPE = Envelope(
    "order.placed",
    {"card": SECRET},
    "shop",
    1_000_000.0,
    subject=SECRET,
    given_id="e-1",
    given_correlation_id="c-1",
    idempotency_key=SECRET,
    tenant=SECRET,
    user=SECRET,
    aggregate=("order", SECRET),
    resource=("card", SECRET),
    tracestate=SECRET,
    headers={"authorization": SECRET},
)
ERROR = ValueError(f"cannot charge {SECRET}")

CASES: dict[str, Callable[[Hooks], None]] = {
    "published": lambda hooks: hooks.published(Published(ENVELOPE, "order", 0.5)),
    "handled": lambda hooks: hooks.handled(Handled(ENVELOPE, "billing", "charge", 2, 0.5)),
    "retried": lambda hooks: hooks.retried(
        Retried(ENVELOPE, "billing", "charge", 2, 0.1, True, ERROR)
    ),
    "dead_lettered": lambda hooks: hooks.dead_lettered(
        DeadLettered(ENVELOPE, "billing", "charge", 5, "ValueError", str(ERROR), ERROR)
    ),
    "dropped": lambda hooks: hooks.dropped(Dropped(ENVELOPE, "billing", "a late reply")),
}

EXPECTED: dict[str, tuple[int, str, dict[str, Any]]] = {
    "published": (
        logging.DEBUG,
        "published order.placed e-1",
        {"busway_group": None, "busway_channel": "order", "busway_seconds": 0.5},
    ),
    "handled": (
        logging.DEBUG,
        "handled order.placed e-1 in group billing by charge, attempt 2, in 0.500000 s",
        {"busway_handler": "charge", "busway_attempt": 2, "busway_seconds": 0.5},
    ),
    "retried": (
        logging.WARNING,
        (
            "attempt 2 at order.placed e-1 failed in group billing by charge (ValueError), "
            "next in 0.100 s"
        ),
        {
            "busway_handler": "charge",
            "busway_attempt": 2,
            "busway_after": 0.1,
            "busway_in_place": True,
            "busway_kind": "ValueError",
        },
    ),
    "dead_lettered": (
        logging.ERROR,
        "dead-lettered order.placed e-1 in group billing after 5 attempts (ValueError)",
        {"busway_handler": "charge", "busway_attempt": 5, "busway_kind": "ValueError"},
    ),
    "dropped": (
        logging.WARNING,
        "dropped order.placed e-1 in group billing: a late reply",
        {"busway_group": "billing", "busway_why": "a late reply"},
    ),
}


@pytest.fixture
def logger(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    caplog.set_level(logging.DEBUG, "shop.events")
    return logging.getLogger("shop.events")


def extras(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key.startswith("busway_")}


@pytest.mark.parametrize("name", CASES)
def test_each_thing_that_happens_is_one_line_with_its_level_and_extras(
    name: str, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    CASES[name](log(logger).hooks)
    (record,) = caplog.records
    level, text, special = EXPECTED[name]
    assert (record.levelno, record.getMessage()) == (level, text)
    common = {
        "busway_event": name,
        "busway_topic": "order.placed",
        "busway_id": "e-1",
        "busway_correlation_id": "c-1",
        "busway_group": "billing",
    }
    assert extras(record) == common | special


@pytest.mark.parametrize("name", CASES)
def test_nothing_of_the_data_headers_keys_or_people_is_logged(
    name: str, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    CASES[name](log(logger).hooks)
    (record,) = caplog.records
    assert SECRET not in repr(vars(record))
    assert SECRET not in caplog.text


@pytest.mark.parametrize("name", ["retried", "dead_lettered"])
def test_what_an_exception_said_is_logged_when_asked_for(
    name: str, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    CASES[name](log(logger, reasons=True).hooks)
    assert f"(ValueError: {ERROR})" in caplog.records[0].getMessage()
    assert extras(caplog.records[0])["busway_reason"] == str(ERROR)


def test_routine_lines_have_the_level_asked_for(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = log(logger, level=logging.INFO).hooks
    CASES["handled"](hooks)
    CASES["retried"](hooks)
    assert [record.levelno for record in caplog.records] == [logging.INFO, logging.WARNING]


def test_a_line_nobody_wants_makes_no_id(caplog: pytest.LogCaptureFixture) -> None:
    """Making an id is most of the cost, and most events never need one."""
    quiet = logging.getLogger("shop.quiet")
    caplog.set_level(logging.INFO, "shop.quiet")
    envelope = Envelope("order.placed")
    log(quiet).hooks.handled(Handled(envelope, "billing", "charge", 1, 0.1))
    log(quiet).hooks.published(Published(envelope, "order", 0.1))
    assert caplog.records == []
    assert envelope.given_id is None


def test_received_is_not_logged(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    log(logger).hooks.received(Received(ENVELOPE, "billing", 1, 1))
    assert caplog.records == []


def test_bytes_that_nobody_could_decode_are_named_so_and_not_shown(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    raw = Raw(SECRET.encode(), headers={"h": SECRET}, reason=SECRET)
    log(logger).hooks.dead_lettered(
        DeadLettered(raw, "billing", "", 1, "Undecodable", SECRET, BuswayError(SECRET))
    )
    (record,) = caplog.records
    assert record.getMessage() == (
        "dead-lettered bytes that nobody could decode in group billing "
        "after 1 attempts (Undecodable)"
    )
    assert SECRET not in repr(vars(record))


def test_what_came_off_a_wire_cannot_forge_a_line_or_flood_the_log(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = log(logger, level=logging.INFO).hooks
    forged = Envelope("order.placed", given_id="e-1\nERROR all is lost")
    hooks.published(Published(forged, "order", 0.1))
    hooks.published(Published(Envelope("order.placed", given_id="x" * 100_000), "order", 0.1))
    assert "\n" not in caplog.records[0].getMessage()
    assert len(caplog.records[1].getMessage()) < 2_000


def test_the_logger_is_busway_unless_given(caplog: pytest.LogCaptureFixture) -> None:
    CASES["dropped"](log().hooks)
    assert [record.name for record in caplog.records] == ["busway"]
