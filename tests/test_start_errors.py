"""A bus that cannot be started: one error, its sentence last, and little above it."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import anyio
import pytest

from busway import Actor, Bus, on
from busway.errors import TransportError
from busway.memory import MemoryTransport
from busway.testing import Flaky

pytestmark = pytest.mark.anyio


async def nothing(data: Any) -> None: ...


async def refused(bus: Bus) -> tuple[BaseException, str]:
    """What starting it raises, and what Python prints of that."""
    with anyio.fail_after(10):
        try:
            async with bus:
                raise AssertionError("it was started")
        except Exception as error:
            return error, "".join(traceback.format_exception(error))


def caused(said: str, cause: BaseException) -> TransportError:
    error = TransportError(said)
    error.__cause__ = cause
    return error


async def test_its_sentence_is_last_and_nothing_of_the_inside_is_above_it() -> None:
    transport = Flaky(MemoryTransport())
    transport.fail("connect", error=TransportError("no server at h:1. Is one running there?"))
    error, printed = await refused(Bus(transport))
    assert isinstance(error, TransportError)
    assert printed.rstrip().splitlines()[-1] == (
        "busway.TransportError: no server at h:1. Is one running there?"
    )
    assert "_faults.py" not in printed
    assert printed.count("Traceback") == 1


async def test_a_cause_that_says_no_more_is_left_out_and_one_that_does_is_kept() -> None:
    client = ConnectionError("WRONGPASS.")
    inner = caused("WRONGPASS. Check the password", client)
    transport = Flaky(MemoryTransport())
    transport.fail("connect", error=caused("h:1: WRONGPASS. Check the password", inner))
    error, printed = await refused(Bus(transport))
    assert error.__cause__ is None
    assert printed.count("WRONGPASS") == 1

    told = OSError(2, "no such file")
    transport.fail("connect", error=caused("h:1 cannot be had", told))
    error, printed = await refused(Bus(transport))
    assert error.__cause__ is told
    assert "no such file" in printed


async def test_the_cause_of_an_adapters_own_error_is_kept() -> None:
    transport = Flaky(MemoryTransport())
    cause = KeyError("boom")
    transport.fail("connect", error=caused("connect raised KeyError: 'boom'", cause))
    error, printed = await refused(Bus(transport))
    assert error.__cause__ is cause
    assert "KeyError: 'boom'\n\nThe above exception" in printed


async def test_groups_that_cannot_be_opened_are_one_error_and_a_line_for_each_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = Flaky(MemoryTransport())
    bus = Bus(transport)
    for group in ("one", "two"):
        bus.add(nothing, "a.b", group=group)
        transport.fail(
            "listen",
            when=lambda each, group=group: each.name == group,
            error=TransportError(f"{group} is not allowed", retryable=False),
        )
    error, printed = await refused(bus)
    assert isinstance(error, TransportError)
    assert "Group" not in printed
    loud = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert all(each.exc_info is None for each in loud)


async def test_an_error_of_the_application_keeps_where_it_comes_from() -> None:
    class Broken(Actor):
        async def on_start(self) -> None:
            raise ValueError("its own")

        @on("a.b")
        async def handle(self, data: Any) -> None: ...

    bus = Bus()
    bus.add(Broken())
    error, printed = await refused(bus)
    assert "its own" in str(error)
    assert "in on_start" in printed


async def test_how_it_came_about_is_logged_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    transport = Flaky(MemoryTransport())
    transport.fail("connect", error=TransportError("no server"))
    caplog.set_level(logging.DEBUG, "busway")
    await refused(Bus(transport))
    (record,) = [each for each in caplog.records if each.levelno == logging.DEBUG]
    assert record.exc_info
    assert "_faults.py" in caplog.text
