"""Tests of an application: a bus in the test's own process, hooks that note what happened, and a
clock that leaps, so that hours of backoff take no time."""

from __future__ import annotations

import time

import anyio
import anyio.lowlevel
import msgspec

from busway import Backoff, Bus, Retry, event
from busway.middleware import DeadLettered, Handled, Hooks, Retried, trace
from busway.transport import Clock

# --- the application -------------------------------------------------------------------------


@event("invoice.due", key="number")
class InvoiceDue(msgspec.Struct, frozen=True):
    number: str


@event("invoice.sent", key="number")
class InvoiceSent(msgspec.Struct, frozen=True):
    number: str


class Mailer:
    def __init__(self, failures: int) -> None:
        self.failures = failures

    async def send(self, invoice: InvoiceDue) -> None:
        self.failures -= 1
        if self.failures >= 0:
            raise ConnectionError("no answer")


def application(mailer: Mailer, hooks: Hooks, clock: Clock | None = None) -> Bus:
    hourly = Retry(attempts=4, backoff=Backoff(first=3600, cap=86_400, jitter="none"))
    bus = Bus(service="invoices", retry=hourly, middleware=[trace(hooks)], clock=clock)

    @bus.subscribe(InvoiceDue, group="mailer")
    async def send(invoice: InvoiceDue) -> None:
        await mailer.send(invoice)
        await bus.publish(InvoiceSent(invoice.number))

    @bus.subscribe(InvoiceSent, group="ledger")
    async def note(invoice: InvoiceSent) -> None: ...

    return bus


# --- what the tests need ---------------------------------------------------------------------


class LeapingClock:
    """Whoever waits for a moment is there at once."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def time(self) -> float:
        return self.now

    async def wait(self, event: anyio.Event, until: float | None, /) -> bool:
        await anyio.lowlevel.checkpoint()
        if until is None:
            await event.wait()
        elif not event.is_set():
            self.now = max(self.now, until)
        return event.is_set()


class Notes(Hooks):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def handled(self, details: Handled, /) -> None:
        self.lines.append(f"{details.group} handled {details.envelope.key}")

    def retried(self, details: Retried, /) -> None:
        self.lines.append(f"{details.group} waits {details.after / 3600:.0f} h: {details.error}")

    def dead_lettered(self, details: DeadLettered, /) -> None:
        self.lines.append(f"{details.group} gave up after {details.attempts}: {details.reason}")


async def run(failures: int) -> list[str]:
    """What happens to one invoice when the mailer fails so often."""
    notes = Notes()
    async with application(Mailer(failures), notes, LeapingClock()) as bus:
        await bus.publish(InvoiceDue("i-1"))
        await bus.drain()  # all caused work, the retries and the child event too
    return notes.lines


# --- the tests -------------------------------------------------------------------------------


async def test_an_invoice_is_sent_and_noted() -> None:
    assert await run(failures=0) == ["mailer handled i-1", "ledger handled i-1"]


async def test_a_failed_invoice_is_tried_again_after_one_and_two_hours() -> None:
    assert await run(failures=2) == [
        "mailer waits 1 h: no answer",
        "mailer waits 2 h: no answer",
        "mailer handled i-1",
        "ledger handled i-1",
    ]


async def test_an_invoice_that_keeps_failing_is_a_dead_letter() -> None:
    lines = await run(failures=9)
    assert lines[-1] == "mailer gave up after 4: no answer"
    assert "ledger handled i-1" not in lines


started = time.perf_counter()
for test in (
    test_an_invoice_is_sent_and_noted,
    test_a_failed_invoice_is_tried_again_after_one_and_two_hours,
    test_an_invoice_that_keeps_failing_is_a_dead_letter,
):
    anyio.run(test)
    print("passed:", test.__name__)
assert time.perf_counter() - started < 60  # of ten hours of backoff
