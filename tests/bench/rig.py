"""How a contender is driven: a ``Load``, the ``Tally`` of its subscriber, and the ``Rig``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from time import perf_counter
from typing import Any, Literal

import anyio
import msgspec
import sniffio

__all__ = ["Contender", "Load", "Loop", "Mode", "Plain", "Rig", "Tally", "plain_events"]

Loop = Literal["asyncio", "uvloop", "trio"]
Mode = Literal["burst", "single", "latency"]
Handler = Callable[[Any], Awaitable[Any]]
POOL = 1_000


class Plain(msgspec.Struct, frozen=True):
    """What the queues and emitters carry."""

    number: int
    name: str
    at: float = 0.0


@dataclass(frozen=True)
class Load:
    """One way to drive a contender. Queues and emitters know neither keys nor groups."""

    mode: Mode = "burst"
    keys: int = 0
    """Distinct keys among the events; 0 for events without a key."""
    concurrency: int = 1
    groups: int = 1


def plain_events(load: Load) -> list[Any]:
    """A thousand events made beforehand: every contender pays for handing over only."""
    return [Plain(number, f"k-{number}") for number in range(POOL)]


class Tally:
    """Counts what was handled. Every contender's subscriber runs the same lines."""

    __slots__ = ("done", "event", "future", "handled", "seconds", "target")

    def __init__(self) -> None:
        self.handled = 0
        self.target = -1
        self.done = anyio.Event()
        self.future: asyncio.Future[None] | None = None
        self.event: Any = None
        self.seconds: list[float] = []
        """Latencies, in the mode that collects them."""

    def expect(self, more: int) -> None:
        self.target = self.handled + more
        self.done = anyio.Event()

    def handler(self, mode: Mode) -> Handler:
        """Counts; or answers the publisher that waits; or notes how long the event took."""
        if mode == "single":
            return _answer_trio(self) if on_trio() else _answer_asyncio(self)
        return _count(self) if mode == "burst" else _note(self)


def on_trio() -> bool:
    return sniffio.current_async_library() == "trio"


def _count(tally: Tally) -> Handler:
    async def count(event: Any) -> None:
        tally.handled += 1
        if tally.handled == tally.target:
            tally.done.set()

    return count


def _note(tally: Tally) -> Handler:
    async def note(event: Any) -> None:
        tally.seconds.append(perf_counter() - event.at)
        tally.handled += 1
        if tally.handled == tally.target:
            tally.done.set()

    return note


def _answer_asyncio(tally: Tally) -> Handler:
    async def answer(event: Any) -> None:
        tally.handled += 1
        future = tally.future
        if future is not None:
            future.set_result(None)

    return answer


def _answer_trio(tally: Tally) -> Handler:
    async def answer(event: Any) -> None:
        tally.handled += 1
        if tally.event is not None:
            tally.event.set()

    return answer


class Rig:
    """A contender that is open: its subscriber listens, and ``send`` is its own way to publish,
    without a wrapper around it."""

    def __init__(self, tally: Tally, send: Handler, pool: Sequence[Any]) -> None:
        self.tally = tally
        self.send = send
        self.pool = pool

    def stamped(self) -> Any:
        """An event that carries the moment at which it was published."""
        return Plain(0, "", perf_counter())

    async def burst(self, events: Sequence[Any], deliveries: int = 1) -> None:
        """Publish one after another; return when the last one is handled, in every group."""
        tally, send = self.tally, self.send
        tally.expect(len(events) * deliveries)
        for event in events:
            await send(event)
        await tally.done.wait()

    async def single(self, events: Sequence[Any]) -> None:
        """Publish each when the one before it was handled."""
        tally, send = self.tally, self.send
        if on_trio():
            from trio import Event

            for event in events:
                waiting = tally.event = Event()
                await send(event)
                await waiting.wait()
            return
        create_future = asyncio.get_running_loop().create_future
        for event in events:
            future = tally.future = create_future()
            await send(event)
            await future


@dataclass(frozen=True)
class Contender:
    """Something that hands events over, on one event loop."""

    name: str
    loop: Loop
    open: Callable[[Load], AbstractAsyncContextManager[Rig]]
    needs: str = ""
    """The module without which it is left out."""
    loads: tuple[Load, ...] = (Load(),)
    """The loads under which its throughput is measured."""
    singles: bool = True
    """Whether it is measured with one event at a time, too."""

    def installed(self) -> bool:
        wanted = (self.needs, self.loop if self.loop != "asyncio" else "")
        return all(find_spec(name) is not None for name in wanted if name)

    def on(self, loop: Loop) -> Contender:
        return replace(self, loop=loop)
