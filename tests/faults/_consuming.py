"""A worker that handles."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

from busway import Bus, Message

from ._events import Event
from ._journal import Journal
from ._settings import Settings

__all__ = ["Consuming"]


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Consuming:
    """Handles every event as the event says, and writes down when it began and when it was done."""

    def __init__(
        self, journal: Journal, settings: Settings, die: Callable[[], None] = kill_self
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._chance = random.Random(f"{settings.seed}/{settings.name}")
        self._die = die

    def subscribe(self, bus: Bus) -> None:
        """To every channel: the first group by a pattern that names none, and so has to discover
        them; the others by their names."""
        named = [f"{channel}.*" for channel in self._settings.channels]
        for number, group in enumerate(self._settings.groups):
            patterns = named if number else ["*.*"]
            bus.add(self.handle, *patterns, group=group, concurrency=self._settings.concurrency)

    async def handle(self, data: dict[str, Any], message: Message[Any]) -> None:
        name = str(data["event"])
        act = Event.parse(name).act
        self._journal.write("start", message.group, name, message.attempt)
        if act == "poison":
            self._die()
        try:
            await anyio.sleep(self._chance.expovariate(1) * self._settings.work)
            if act == "doom" or (act == "fail" and message.attempt == 1):
                raise ValueError(f"{name} fails at attempt {message.attempt}")
        except BaseException as error:
            self._journal.write("left", message.group, name, type(error).__name__)
            raise
        self._journal.write("end", message.group, name)
        if act == "crash" and self._is_first(message.group):
            self._die()

    def _is_first(self, group: str) -> bool:
        """Whether no process of the group has been here before."""
        try:
            (Path(self._settings.folder) / f"{group}.crashed").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True
