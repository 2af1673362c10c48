"""Emitters: they call or spawn the handler at once; there is no queue and no acknowledgement."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.bench.rig import Contender, Load, Rig, Tally, plain_events

__all__ = ["CONTENDERS"]

UNAWAITED = 1_024
"""An emitter that does not wait is let ahead by as many events as the queues hold."""


class SpawningRig(Rig):
    """For pyee: ``emit`` is synchronous and makes a task for each event."""

    def __init__(self, tally: Tally, emitter: Any, pool: Sequence[Any]) -> None:
        async def send(event: Any) -> None:
            emitter.emit("bench.ticked", event)

        super().__init__(tally, send, pool)
        self.emitter = emitter

    async def burst(self, events: Sequence[Any], deliveries: int = 1) -> None:
        emit = self.emitter.emit
        for start in range(0, len(events), UNAWAITED):
            for event in events[start : start + UNAWAITED]:
                emit("bench.ticked", event)
            await self.emitter.wait_for_complete()


@asynccontextmanager
async def open_pyee(load: Load) -> AsyncIterator[Rig]:
    from pyee.asyncio import AsyncIOEventEmitter

    tally, emitter = Tally(), AsyncIOEventEmitter()
    emitter.on("bench.ticked", tally.handler(load.mode))
    yield SpawningRig(tally, emitter, plain_events(load))


class AwaitingRig(Rig):
    """For blinker and pymitter: publishing returns when the handler has."""

    async def burst(self, events: Sequence[Any], deliveries: int = 1) -> None:
        send = self.send
        for event in events:
            await send(event)

    single = burst


@asynccontextmanager
async def open_blinker(load: Load) -> AsyncIterator[Rig]:
    from blinker import Signal

    tally, ticked = Tally(), Signal("bench.ticked")
    handle = tally.handler("burst")
    ticked.connect(handle)
    yield AwaitingRig(tally, ticked.send_async, plain_events(load))


@asynccontextmanager
async def open_pymitter(load: Load) -> AsyncIterator[Rig]:
    from pymitter import EventEmitter

    tally, emitter = Tally(), EventEmitter(wildcard=True)
    emitter.on("bench.*", tally.handler("burst"))

    def send(event: Any) -> Any:
        return emitter.emit_async("bench.ticked", event)

    yield AwaitingRig(tally, send, plain_events(load))


CONTENDERS = (
    Contender("pyee", "asyncio", open_pyee, "pyee"),
    Contender("blinker", "asyncio", open_blinker, "blinker"),
    Contender("pymitter", "asyncio", open_pymitter, "pymitter"),
)
