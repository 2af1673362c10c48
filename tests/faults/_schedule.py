"""What goes wrong when: the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal, NamedTuple

__all__ = ["Kind", "Planned", "schedule"]

Kind = Literal["kill", "massacre", "kill-producer", "term", "stop", "cut", "stall", "restart"]
"""kill -9 of a consumer, of all of them, of a producer · SIGTERM · SIGSTOP for longer than the
lease · RST on all connections of a process · nothing goes through for a while · kill -9 of the
server."""

# For every 20 faults. A massacre is as many kills as there are consumers.
DECK: dict[Kind, int] = {
    "kill": 8,
    "massacre": 1,
    "kill-producer": 2,
    "term": 1,
    "stop": 2,
    "cut": 3,
    "stall": 1,
    "restart": 2,
}
NETWORK: set[Kind] = {"cut", "stall"}
SERVER: set[Kind] = {"restart"}


class Planned(NamedTuple):
    """One fault."""

    at: float
    """Seconds from the beginning."""
    kind: Kind
    pick: float
    """Which process: a number in [0, 1)."""
    lasts: float
    """Seconds."""
    detail: str = ""


def schedule(
    seed: int, seconds: float, lease: float, *, network: bool, server: bool, every: float = 4.0
) -> list[Planned]:
    """Faults for so long, about one in ``every`` seconds. Where there is no network to be cut, or
    no server to be killed, processes are killed instead."""
    chance = random.Random(f"schedule {seed}")
    absent: set[Kind] = set()
    if not network:
        absent |= NETWORK
    if not server:
        absent |= SERVER
    found: list[Planned] = []
    at = 0.0
    for kind in _cards(chance):
        at += every * chance.uniform(0.5, 1.5)
        if at >= seconds:
            return found
        chosen: Kind = "kill" if kind in absent else kind
        lasts = chance.uniform(*_span(chosen, lease))
        fsync = chance.choice(["always", "everysec"]) if chosen == "restart" else ""
        found.append(Planned(at, chosen, chance.random(), lasts, fsync))
    return found


def _cards(chance: random.Random) -> Iterator[Kind]:
    """Deck after deck: each kind has its share however short the run."""
    while True:
        deck: list[Kind] = [kind for kind, count in DECK.items() for _ in range(count)]
        chance.shuffle(deck)
        yield from deck


def _span(kind: Kind, lease: float) -> tuple[float, float]:
    if kind == "stop":
        return 1.3 * lease, 2.5 * lease
    if kind == "stall":
        return 0.3 * lease, 2.0 * lease
    if kind == "restart":
        return 0.0, 1.5
    return 0.0, 0.0
