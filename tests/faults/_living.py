"""The life of a worker: up, until SIGTERM, down."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel

from busway import Bus, TransportError

from ._consuming import Consuming
from ._journal import Journal
from ._producing import Producing
from ._settings import Settings

__all__ = ["live"]

TICK = 0.1
LATE = 0.5
"""Seconds that the event loop may stand still without a line in the journal."""
GRACE = 10.0


async def live(make: Callable[[], Bus], journal: Journal, settings: Settings) -> None:
    """Until SIGTERM. Raises when a bus ended without having been told to."""
    ended = anyio.Event()
    async with anyio.create_task_group() as tasks:
        heard = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
        with anyio.open_signal_receiver(*heard) as signals:
            tasks.start_soon(_obey, signals, ended)
            tasks.start_soon(_watch_loop, journal)
            journal.write("up", *await _census())
            if settings.role == "visitor":
                await _visit(make, journal, settings, ended)
            else:
                await _once(make(), journal, settings, ended)
            journal.write("down", *await _census())
            tasks.cancel_scope.cancel()


async def _visit(
    make: Callable[[], Bus], journal: Journal, settings: Settings, ended: anyio.Event
) -> None:
    """Come and go. A bus is used once."""
    chance = random.Random(f"{settings.seed}/{settings.name}/visits")
    while not ended.is_set():
        leaves = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_once, make(), journal, settings, leaves)
            await _wait(ended, settings.stays * chance.uniform(0.5, 1.5))
            leaves.set()
        journal.write("note", "visited")
        await _wait(ended, settings.stays * chance.uniform(0.5, 1.5))


async def _wait(ended: anyio.Event, seconds: float) -> None:
    with anyio.move_on_after(seconds):
        await ended.wait()


async def _once(bus: Bus, journal: Journal, settings: Settings, ended: anyio.Event) -> None:
    if await _start(bus, journal, settings, ended):
        await _serve(bus, journal, settings, ended)


async def _start(bus: Bus, journal: Journal, settings: Settings, ended: anyio.Event) -> bool:
    """As often as it takes: a broker that is down now comes back. False: ended before that."""
    if settings.role != "producer":
        Consuming(journal, settings).subscribe(bus)
    while not ended.is_set():
        try:
            await bus.start()
        except TransportError as error:
            journal.write("note", "unstarted", type(error).__name__)
            await anyio.sleep(0.2)
        else:
            journal.write("ready")
            return True
    return False


async def _serve(bus: Bus, journal: Journal, settings: Settings, ended: anyio.Event) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch_bus, bus, ended)
        if settings.role == "producer":
            producing = Producing(bus, journal, settings)
            tasks.start_soon(producing.run)
            await ended.wait()
            producing.stopping.set()
        else:
            await ended.wait()
    await bus.stop(grace=GRACE)
    stats = bus.stats()
    journal.write("note", "stats", *(f"{name}={getattr(stats, name)}" for name in COUNTED))


COUNTED = ("published", "publish_failed", "publish_unknown", "handled", "failed", "dead", "lost")


async def _watch_bus(bus: Bus, ended: anyio.Event) -> None:
    while not ended.is_set():
        if not bus.running:
            raise RuntimeError("the bus has ended by itself")
        await _wait(ended, TICK)


async def _obey(signals: AsyncIterator[signal.Signals], ended: anyio.Event) -> None:
    async for each in signals:
        if each == signal.SIGUSR1:
            _show_tasks()
        else:
            ended.set()


def _show_tasks() -> None:
    """Where everybody stands, for whoever looks for what hangs."""
    for task in asyncio.all_tasks():
        print(task.get_name(), *_awaited(task.get_coro()), sep="\n    ", file=sys.stderr)


def _awaited(coroutine: Any) -> Iterator[str]:
    """From the outside to what it waits for."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None)
        if frame is not None:
            yield f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)


async def _watch_loop(journal: Journal) -> None:
    """A loop that stood still may have lost its loans: the oracle has to know."""
    while True:
        begin = anyio.current_time()
        await anyio.sleep(TICK)
        late = anyio.current_time() - begin - TICK
        if late > LATE:
            journal.write("lag", f"{late:.3f}")


async def _census() -> tuple[int, int]:
    """How many files (where that can be seen) and tasks are open, once what was cancelled or closed
    has had its turn."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    return _files(), len(anyio.get_running_tasks())


def _files() -> int:
    place = Path("/proc/self/fd")
    return len(os.listdir(place)) if place.exists() else 0
