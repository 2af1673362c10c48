"""The event that every contender carries, and the watch that its subscriber stops."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter

import msgspec

from busway import event

__all__ = [
    "GROUP",
    "SIZE",
    "STREAM",
    "Item",
    "Keyed",
    "Noted",
    "Stopwatch",
    "keyed",
    "noted",
    "packed",
]

STREAM = "bench"
GROUP = "bench"
SIZE = 256
"""Bytes of an event's data as JSON."""

KEYS = 1_000
_FIRST = 100_000
_PLAIN = len(msgspec.json.encode({"number": _FIRST, "at": 0.0, "text": ""}))


class Item(msgspec.Struct, frozen=True):
    """What it holds, whatever its topic."""

    number: int
    at: float = 0.0
    text: str = "x" * (SIZE - _PLAIN)


@event("bench.noted")
class Noted(Item, frozen=True):
    """The same on a topic of its own."""


@event("bench.counted", key="number")
class Keyed(Item, frozen=True):
    """The same with a key, of which there are ``KEYS``."""


def noted(count: int) -> list[Noted]:
    """Events of ``SIZE`` bytes each, all different."""
    return [Noted(_FIRST + number % 900_000) for number in range(count)]


def keyed(count: int) -> list[Keyed]:
    """The same of every key in turn."""
    return [Keyed(_FIRST + number % KEYS) for number in range(count)]


def packed(count: int) -> list[bytes]:
    """The same as bytes: a raw client pays for neither object nor encoder."""
    return [msgspec.json.encode(each) for each in noted(count)]


class Stopwatch:
    """Runs from when the first ``warm`` events were handled until all were."""

    __slots__ = ("_started", "_total", "_warm", "done", "handled", "next", "seconds_each", "warmed")

    def __init__(self, warm: int, count: int) -> None:
        self.handled = 0
        self.next = warm
        """At so many ``mark`` is to be called."""
        self.warmed = asyncio.Event()
        self.done = asyncio.Event()
        self.seconds_each = 0.0
        self._warm = warm
        self._total = warm + count
        self._started = 0.0

    def mark(self) -> None:
        now = perf_counter()
        if self.next < self._total:
            self._started, self._warm, self.next = now, self.handled, self._total
            self.warmed.set()
        else:
            self.seconds_each = (now - self._started) / (self.handled - self._warm)
            self.done.set()

    @staticmethod
    async def all_done(watches: Sequence[Stopwatch]) -> float:
        """Seconds per event of them all, from when each is warm until each is done."""
        for watch in watches:
            await watch.warmed.wait()
        before, started = sum(watch.handled for watch in watches), perf_counter()
        for watch in watches:
            await watch.done.wait()
        return (perf_counter() - started) / (sum(watch.handled for watch in watches) - before)

    def passed(self, more: int) -> None:
        """So many were handled together."""
        self.handled += more
        if self.handled >= self.next:
            self.mark()
