"""What tests of a running bus wait for: facts, never the time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel

from busway import Backoff, Bus, Message, Retry
from busway.testing import Flaky

__all__ = [
    "LEASE",
    "PATIENCE",
    "LeapingClock",
    "Seen",
    "letters",
    "noting",
    "quick",
    "stopped_in_mid_handler",
    "thirds",
    "turns",
    "until",
    "up",
]

PATIENCE = 20.0
"""Seconds after which a test has failed; no test takes a tenth of it."""


def quick(attempts: int = 3, **options: Any) -> Retry:
    """A policy that does not keep a test waiting."""
    backoff = Backoff(first=0.005, cap=0.005, jitter="none")
    return Retry(attempts=attempts, backoff=backoff, **options)


class Seen:
    """What happened so far, and a way to wait until enough did."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._changed = anyio.Event()

    def add(self, item: Any) -> None:
        self.items.append(item)
        self._changed.set()
        self._changed = anyio.Event()

    async def count(self, number: int) -> list[Any]:
        """Wait for so many items."""
        with anyio.fail_after(PATIENCE):
            while len(self.items) < number:
                await self._changed.wait()
        return self.items


def noting(seen: Seen) -> Callable[[Any, Message[Any]], Awaitable[None]]:
    """A handler that notes the data."""

    async def note(data: Any, message: Message[Any]) -> None:
        seen.add(data)

    return note


@asynccontextmanager
async def up(bus: Bus) -> AsyncGenerator[Bus]:
    """The bus, up. A test that waits in here for what never comes fails, and does not hang."""
    with anyio.fail_after(PATIENCE):
        async with bus:
            yield bus


async def stopped_in_mid_handler(bus: Bus) -> None:
    """Run the bus, and stop it at once while its handler in the group g has an event."""
    entered = anyio.Event()

    @bus.subscribe("a.b", group="g")
    async def hang(data: Any) -> None:
        entered.set()
        await anyio.sleep_forever()

    async with up(bus):
        await bus.publish("a.b", 1)
        await entered.wait()
        await bus.stop(grace=0)


async def until(fact: Callable[[], bool]) -> None:
    """Wait for a fact that nobody announces."""
    with anyio.fail_after(PATIENCE):
        while not fact():
            await anyio.sleep(0.001)


async def letters(bus: Bus, group: str, count: int) -> list[Any]:
    """The dead letters of a group, as soon as there are so many."""
    found: list[Any] = []
    with anyio.fail_after(PATIENCE):
        while len(found) < count:
            found = await bus.dead_letters(group).list()
            await anyio.sleep(0.001)
    assert len(found) == count
    return found


class LeapingClock:
    """Time that passes only when it is told to."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self._now = now
        self._waiting: set[anyio.Event] = set()
        """One for each who waits: they may be on different event loops."""

    def time(self) -> float:
        return self._now

    def leap(self, seconds: float) -> None:
        self._now += seconds
        for leapt in self._waiting:
            leapt.set()

    async def wait(self, event: anyio.Event, until: float | None, /) -> bool:
        while not event.is_set() and (until is None or self._now < until):
            leapt = anyio.Event()
            self._waiting.add(leapt)
            try:
                async with anyio.create_task_group() as tasks:
                    for each in (event, leapt):
                        tasks.start_soon(self._end, each, tasks.cancel_scope)
            finally:
                self._waiting.discard(leapt)
        return event.is_set()

    async def _end(self, event: anyio.Event, scope: anyio.CancelScope) -> None:
        await event.wait()
        scope.cancel()


LEASE = 30.0
"""Seconds by a ``LeapingClock``: no loan ends because the machine stood still for a moment."""


async def thirds(clock: LeapingClock, transport: Flaky, count: int) -> None:
    """Let so many thirds of a lease pass, each when its loans were asked to be prolonged."""
    for _ in range(count):
        before = transport.calls["extend"]
        clock.leap(LEASE / 3)
        await until(lambda: transport.calls["extend"] > before)  # noqa: B023


async def turns() -> None:
    """Let the event loop turn often enough for everything that needs no time to happen."""
    for _ in range(50):
        await anyio.lowlevel.checkpoint()
