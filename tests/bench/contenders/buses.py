"""In-process buses: a queue between publisher and handler."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.bench.rig import Contender, Load, Rig, Tally, plain_events

__all__ = ["CONTENDERS"]

UNAWAITED = 1_024
PENDING = 40
"""bubus refuses more than it has room for: its queue holds 50."""


class HubRig(Rig):
    """For aiopubsub: publishing is synchronous and its queue has no bound."""

    def __init__(self, tally: Tally, publish: Any, key: Any, pool: Sequence[Any]) -> None:
        async def send(event: Any) -> None:
            publish(key, event)

        super().__init__(tally, send, pool)
        self.publish, self.key = publish, key

    async def burst(self, events: Sequence[Any], deliveries: int = 1) -> None:
        publish, key, tally = self.publish, self.key, self.tally
        for start in range(0, len(events), UNAWAITED):
            part = events[start : start + UNAWAITED]
            tally.expect(len(part))
            for event in part:
                publish(key, event)
            await tally.done.wait()


@asynccontextmanager
async def open_aiopubsub(load: Load) -> AsyncIterator[Rig]:
    from aiopubsub import Hub, Key, Publisher, Subscriber

    tally, hub = Tally(), Hub()
    handle = tally.handler(load.mode)

    async def listen(_key: Any, event: Any) -> None:
        await handle(event)

    subscriber = Subscriber(hub, "bench")
    subscriber.add_async_listener(Key("bench", "*"), listen)
    publisher = Publisher(hub, prefix=Key("bench"))
    yield HubRig(tally, publisher.publish, Key("ticked"), plain_events(load))
    await subscriber.remove_all_listeners()


class FreshRig(Rig):
    """For bubus: an event is used once, so making it is part of the price; awaiting a dispatched
    event is its own way to wait until it is handled."""

    def __init__(self, tally: Tally, bus: Any, kind: type[Any], load: Load) -> None:
        async def send(event: Any) -> None:
            self.dispatch(event)

        super().__init__(tally, send, plain_events(load))
        self.bus, self.kind = bus, kind

    def dispatch(self, event: Any) -> Any:
        return self.bus.dispatch(self.kind(number=event.number, name=event.name))

    async def burst(self, events: Sequence[Any], deliveries: int = 1) -> None:
        for start in range(0, len(events), PENDING):
            dispatched = [self.dispatch(event) for event in events[start : start + PENDING]]
            for each in dispatched:
                await each

    async def single(self, events: Sequence[Any]) -> None:
        for event in events:
            await self.dispatch(event)


@asynccontextmanager
async def open_bubus(load: Load) -> AsyncIterator[Rig]:
    os.environ.setdefault("BUBUS_LOGGING_LEVEL", "CRITICAL")
    from bubus import BaseEvent, EventBus

    class Ticked(BaseEvent[None]):
        number: int
        name: str

    tally, bus = Tally(), EventBus()
    bus.on("*", tally.handler("burst"))
    yield FreshRig(tally, bus, Ticked, load)
    await bus.stop(timeout=1, clear=True)


CONTENDERS = (
    Contender("aiopubsub", "asyncio", open_aiopubsub, "aiopubsub"),
    Contender("bubus", "asyncio", open_bubus, "bubus"),
)
