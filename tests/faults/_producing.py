"""A worker that publishes."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Any

import anyio
import anyio.lowlevel
import msgspec

from busway import Bus, Envelope, PublishError, SendError

from ._events import Event, Mix
from ._journal import Journal
from ._settings import Settings

__all__ = ["Producing"]

MANY = 8
"""Events that are published together at most."""


class Producing:
    """Publishes numbered events of keys that are nobody else's: each key from one task, which goes
    on to the next number when it was told what became of the last. Nothing is published twice."""

    def __init__(self, bus: Bus, journal: Journal, settings: Settings) -> None:
        self._bus = bus
        self._journal = journal
        self._settings = settings
        self._mix = Mix(settings.fail, settings.doom, settings.poison)
        self.stopping = anyio.Event()

    async def run(self) -> None:
        """Until ``stopping`` is set, or each key has its number of events."""
        async with anyio.create_task_group() as tasks:
            for number in range(self._settings.keys):
                tasks.start_soon(self._publish_key, number)

    async def _publish_key(self, key: int) -> None:
        settings = self._settings
        chance = random.Random(f"{settings.seed}/{settings.name}/{key}")
        channel = settings.channels[key % len(settings.channels)]
        # The number of the process: whoever follows it under the same name begins at one again.
        name = f"{settings.name}-{os.getpid()}-{key}"
        pause = settings.keys / settings.rate if settings.rate else 0.0
        number = 0
        while not self.stopping.is_set() and settings.count != number:
            many = chance.randint(2, MANY) if chance.random() < 0.1 else 1
            if settings.count is not None:
                many = min(many, settings.count - number)
            events = [
                Event(channel, name, number + each, self._mix.draw(chance))
                for each in range(1, many + 1)
            ]
            number += many
            if not await self._publish(events):
                await anyio.sleep(0.1)
            await self._wait(pause * many * chance.uniform(0.5, 1.5))

    async def _wait(self, seconds: float) -> None:
        if not seconds:
            await anyio.lowlevel.checkpoint()
            return
        with anyio.move_on_after(seconds):
            await self.stopping.wait()

    async def _publish(self, events: Sequence[Event]) -> bool:
        """Whether all arrived."""
        for each in events:
            self._journal.write("try", each.name)
        size = self._settings.size
        try:
            if len(events) == 1:
                (event,) = events
                await self._bus.publish(event.topic, event.data(size), key=event.key)
            else:
                await self._bus.publish_many(
                    [
                        self._bus.envelope(each.topic, each.data(size), key=each.key)
                        for each in events
                    ]
                )
        except SendError as error:
            self._note(events, error)
            return False
        for each in events:
            self._journal.write("ok", each.name)
        return True

    def _note(self, events: Sequence[Event], error: SendError) -> None:
        """``failed`` holds those that did not surely arrive."""
        outcome = "failed" if isinstance(error, PublishError) else "unknown"
        why = type(error.__cause__ or error).__name__
        failed = {event_of(envelope) for envelope, _ in error.failed}
        for each in events:
            if each.name in failed or not failed:
                self._journal.write(outcome, each.name, why)
            else:
                self._journal.write("ok", each.name)


def event_of(envelope: Envelope) -> str:
    """The name of the event that an envelope is of, off a wire or not."""
    data: Any = envelope.data
    if isinstance(data, msgspec.Raw):
        data = msgspec.json.decode(data)
    return str(data["event"])
