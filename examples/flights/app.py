"""The application: who subscribes to what, and one run from the first flight to the redrive."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Final

import anyio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from busway import Backoff, Bus, Retry

from .account import KINDS, compare, plain_count
from .airports import Airports
from .carriers import Delays, add_carriers, ask, channels
from .events import AnyFlight, Cancelled
from .load import flights
from .notify import FlakyNotifier
from .report import Result

__all__ = ["App", "run"]

NOTIFIER: Final = "flights.notifier"
PATIENCE: Final = Retry(attempts=3, backoff=Backoff(first=0.01, cap=0.05))
TOGETHER: Final = 100
"""Flights handed to the bus in one call."""


class App:
    """A bus with everybody who listens to it."""

    def __init__(self, url: str, timetable: Sequence[AnyFlight]) -> None:
        self.timetable = timetable
        self.codes = sorted({flight.carrier for flight in timetable})
        self.airports = Airports()
        self.notifier = FlakyNotifier()
        self.bus = Bus(url, service="flights", channels=channels(self.codes))
        self.airports.add_to(self.bus)
        add_carriers(self.bus, self.codes)
        self.bus.add(self.tell, "flight.cancelled", group=NOTIFIER, concurrency=8, retry=PATIENCE)

    async def tell(self, flight: Cancelled) -> None:
        await self.notifier.tell(flight)

    async def publish(self, rate: float | None) -> None:
        """Publish the timetable in its order, at most ``rate`` flights a second."""
        together = TOGETHER if rate is None else max(1, min(TOGETHER, int(rate / 10)))
        started = perf_counter()
        for first in range(0, len(self.timetable), together):
            if rate is not None:
                await anyio.sleep(max(0.0, started + first / rate - perf_counter()))
            await self.bus.publish_many(self.timetable[first : first + together])

    async def dead(self) -> int:
        """How many dead letters the notifier has now."""
        return len(await self.bus.dead_letters(NOTIFIER).list())

    async def redrive(self) -> None:
        """Repair the notifier and give it everything again that it failed at."""
        self.notifier.repaired = True
        await self.bus.dead_letters(NOTIFIER).replay()
        await self.bus.drain()


@asynccontextmanager
async def watched(app: App, console: Console) -> AsyncGenerator[None, None]:
    """Show a bar with how many flights were handled, for as long as the block runs."""
    columns = (TextColumn("flights"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("flights", total=len(app.timetable))

        async def follow() -> None:
            while True:
                bar.update(task, completed=app.airports.kinds.total())
                await anyio.sleep(0.1)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            yield
            tasks.cancel_scope.cancel()
        bar.update(task, completed=app.airports.kinds.total())


def _heard(app: App, carriers: Mapping[str, Delays]) -> dict[str, dict[str, int]]:
    """What each subscriber counted, of every kind that it hears."""
    airports = app.airports.kinds
    return {
        "airports": {kind: airports[kind] for kind in KINDS},
        "carriers": {
            kind: sum(delays.kinds.get(kind, 0) for delays in carriers.values()) for kind in KINDS
        },
        "notifier": {"flight.cancelled": app.notifier.told.total()},
    }


async def run(
    url: str, console: Console, *, limit: int | None = None, rate: float | None = None
) -> Result:
    """Send ``limit`` flights through the bus at ``url``, at most ``rate`` a second."""
    app = App(url, flights(limit))
    async with app.bus:
        started = perf_counter()
        async with watched(app, console):
            await app.publish(rate)
            await app.bus.drain()
        seconds = perf_counter() - started
        stats, dead = app.bus.stats(), await app.dead()
        await app.redrive()
        carriers = {code: await ask(app.bus, code) for code in app.codes}
        plain = plain_count(limit)
        return Result(
            plain=plain,
            kinds=app.airports.kinds,
            airports=app.airports.counts,
            carriers=carriers,
            seconds=seconds,
            deliveries=stats.handled,
            retries=stats.retried,
            dead=dead,
            dead_after=await app.dead(),
            account=compare(plain, _heard(app, carriers)),
        )
