"""Busway with nothing switched off: envelope, id, time, retry policy, verdict, acknowledgement."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import msgspec

from busway import Bus, event
from tests.bench.rig import POOL, Contender, Load, Rig, Tally

__all__ = ["ASKED", "CONTENDERS", "KeyedTicked", "Ticked"]


@event("bench.ticked")
class Ticked(msgspec.Struct, frozen=True):
    number: int
    name: str
    at: float = 0.0


@event("bench.keyed", key="name")
class KeyedTicked(msgspec.Struct, frozen=True):
    number: int
    name: str
    at: float = 0.0


def events(load: Load) -> list[Any]:
    if load.keys:
        return [KeyedTicked(number, f"k-{number % load.keys}") for number in range(POOL)]
    return [Ticked(number, f"k-{number}") for number in range(POOL)]


class BuswayRig(Rig):
    def stamped(self) -> Ticked:
        return Ticked(0, "", perf_counter())


@asynccontextmanager
async def open_busway(load: Load) -> AsyncIterator[Rig]:
    tally, bus = Tally(), Bus("memory://", service="bench")
    for number in range(load.groups):
        handler = tally.handler(load.mode)
        handler.__annotations__ = {"event": KeyedTicked if load.keys else Ticked}
        bus.add(handler, "bench.*", group=f"group-{number}", concurrency=load.concurrency)
    async with bus:
        yield BuswayRig(tally, bus.publish, events(load))


class AskingRig(BuswayRig):
    async def single(self, events: Sequence[Any]) -> None:
        send = self.send
        for each in events:
            await send(each)


@asynccontextmanager
async def open_asked(load: Load) -> AsyncIterator[Rig]:
    tally, bus = Tally(), Bus("memory://", service="bench")

    async def answer(event: Ticked) -> int:
        tally.handled += 1
        return event.number

    bus.add(answer, "bench.*", group="bench")
    async with bus:
        yield AskingRig(tally, bus.request, events(load))


LOADS = tuple(Load(keys=keys, concurrency=many) for keys in (0, 1_000) for many in (1, 8))
_busway = Contender("Busway", "asyncio", open_busway, loads=LOADS)
_asked = Contender("Busway request", "asyncio", open_asked)

CONTENDERS = (_busway, _busway.on("uvloop"), _busway.on("trio"))
ASKED = (_asked, _asked.on("uvloop"), _asked.on("trio"))
