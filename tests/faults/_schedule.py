"""What goes wrong when: the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

__all__ = ["DECK", "KAFKA_DECK", "Kind", "Planned", "schedule", "without"]

Kind = Literal[
    "kill", "massacre", "kill-producer", "term", "stop", "cut", "stall", "restart", "roll"
]  # fmt: skip
"""kill -9 of a consumer, of all of them, of a producer · SIGTERM · SIGSTOP for longer than the
lease · RST on all connections of a process · nothing goes through for a while · kill -9 of the
server, or of one of them · each server restarted in good order, one after another."""

# For every 20 faults. A massacre is as many kills as there are consumers.
DECK: Mapping[Kind, int] = {
    "kill": 8,
    "massacre": 1,
    "kill-producer": 2,
    "term": 1,
    "stop": 2,
    "cut": 3,
    "stall": 1,
    "restart": 2,
}
# The same with several servers. Each restart takes seconds.
KAFKA_DECK: Mapping[Kind, int] = {**DECK, "kill": 7, "roll": 1}


def without(deck: Mapping[Kind, int], *absent: Kind) -> Mapping[Kind, int]:
    """Where something cannot be done, processes are killed instead."""
    kept: dict[Kind, int] = {kind: count for kind, count in deck.items() if kind not in absent}
    return {**kept, "kill": sum(deck.values()) - sum(kept.values()) + kept["kill"]}


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
    seed: int,
    seconds: float,
    lease: float,
    *,
    deck: Mapping[Kind, int] = DECK,
    details: Sequence[str] = ("",),
    every: float = 4.0,
) -> list[Planned]:
    """Faults for so long, about one in ``every`` seconds; ``details`` are what a restart may be
    told."""
    chance = random.Random(f"schedule {seed}")
    found: list[Planned] = []
    at = 0.0
    for kind in _cards(chance, deck):
        at += every * chance.uniform(0.5, 1.5)
        if at >= seconds:
            return found
        lasts = chance.uniform(*_span(kind, lease))
        detail = chance.choice(details) if kind == "restart" else ""
        found.append(Planned(at, kind, chance.random(), lasts, detail))
    return found


def _cards(chance: random.Random, deck: Mapping[Kind, int]) -> Iterator[Kind]:
    """Deck after deck: each kind has its share however short the run."""
    while True:
        cards: list[Kind] = [kind for kind, count in deck.items() for _ in range(count)]
        chance.shuffle(cards)
        yield from cards


def _span(kind: Kind, lease: float) -> tuple[float, float]:
    if kind == "stop":
        return 1.3 * lease, 2.5 * lease
    if kind == "stall":
        return 0.3 * lease, 2.0 * lease
    if kind == "restart":
        return 0.0, 1.5
    return 0.0, 0.0
