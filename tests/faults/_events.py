"""The events of the fault runs."""

from __future__ import annotations

import random
from typing import Any, Literal, NamedTuple, cast

__all__ = ["Act", "Event", "Mix", "innocent"]

Act = Literal["work", "fail", "doom", "poison", "crash"]
"""What its handler does: it works; it fails at the first attempt; it fails at each; it kills its
process; it kills its process once, when it is done and nobody could be told of that yet."""


class Event(NamedTuple):
    """The number ``number`` of its key; nobody else publishes that key."""

    channel: str
    key: str
    number: int
    act: Act

    @property
    def stem(self) -> str:
        """What the events that are in order have in common."""
        return f"{self.channel}/{self.key}"

    @property
    def name(self) -> str:
        """As it stands in the journals."""
        return f"{self.stem}/{self.number}/{self.act}"

    @property
    def topic(self) -> str:
        return f"{self.channel}.{self.act}"

    @staticmethod
    def parse(name: str) -> Event:
        channel, key, number, act = name.split("/")
        return Event(channel, key, int(number), cast("Act", act))

    def data(self, size: int = 0) -> dict[str, Any]:
        """What is published."""
        return {"event": self.name, "filling": "x" * size}


def innocent(act: Act) -> bool:
    """Whether it must never be a dead letter."""
    return act in ("work", "fail", "crash")


class Mix(NamedTuple):
    """How often an event is not one that just works."""

    fail: float = 0.0
    doom: float = 0.0
    poison: float = 0.0

    def draw(self, chance: random.Random) -> Act:
        drawn = chance.random()
        for act in ("poison", "doom", "fail"):
            drawn -= getattr(self, act)
            if drawn < 0:
                return act
        return "work"
