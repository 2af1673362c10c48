"""Tests of an application: note what its bus does, and let hours of backoff pass at once.

With pytest there is less to write: it finds the fixtures ``bus``, ``captured`` and
``virtual_clock`` by itself.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import msgspec

from busway import Backoff, Bus, Retry, event
from busway.testing import Captured, VirtualClock, capture

# --- the application -------------------------------------------------------------------------


@event("invoice.due", key="number")
class InvoiceDue(msgspec.Struct, frozen=True):
    number: str


@event("invoice.sent", key="number")
class InvoiceSent(msgspec.Struct, frozen=True):
    number: str


HOURLY = Retry(attempts=4, backoff=Backoff(first=3600, cap=86_400, jitter="none"))


class Mailer:
    def __init__(self, failures: int = 0) -> None:
        self.failures = failures

    async def send(self, number: str) -> None:
        self.failures -= 1
        if self.failures >= 0:
            raise ConnectionError("no answer")


def subscribe(bus: Bus, mailer: Mailer) -> None:
    @bus.subscribe(InvoiceDue, group="mailer", retry=HOURLY)
    async def send(invoice: InvoiceDue) -> None:
        await mailer.send(invoice.number)
        await bus.publish(InvoiceSent(invoice.number))


# --- the tests -------------------------------------------------------------------------------


@asynccontextmanager
async def running(mailer: Mailer) -> AsyncGenerator[tuple[Bus, Captured]]:
    bus = Bus("memory://", service="test", clock=VirtualClock())
    subscribe(bus, mailer)
    with capture(bus) as captured:
        async with bus:
            yield bus, captured


async def test_an_invoice_is_sent() -> None:
    async with running(Mailer()) as (bus, captured):
        await bus.publish(InvoiceDue("i-1"))
        await captured.settled()  # all that was caused is done
        assert captured.published.of(InvoiceSent).events == [InvoiceSent("i-1")]


async def test_a_failed_invoice_is_tried_again_after_one_and_two_hours() -> None:
    async with running(Mailer(failures=2)) as (bus, captured):
        await bus.publish(InvoiceDue("i-1"))
        await captured.settled()
        assert [each.after for each in captured.retried] == [3600, 7200]
        assert captured.handled.group("mailer").key("i-1").events == [InvoiceDue("i-1")]


async def test_an_invoice_that_keeps_failing_is_a_dead_letter() -> None:
    async with running(Mailer(failures=9)) as (bus, captured):
        await bus.publish(InvoiceDue("i-1"))
        await captured.settled()
        (dead,) = captured.dead_lettered.topic("invoice.*")
        assert (dead.attempts, dead.reason) == (4, "no answer")
        assert captured.published.of(InvoiceSent) == []


started = time.perf_counter()
for test in (
    test_an_invoice_is_sent,
    test_a_failed_invoice_is_tried_again_after_one_and_two_hours,
    test_an_invoice_that_keeps_failing_is_a_dead_letter,
):
    anyio.run(test)
    print("passed:", test.__name__)
assert time.perf_counter() - started < 60  # of ten hours of backoff
