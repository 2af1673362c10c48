"""Who is measured, and the bare hand-off that each loop's figures are divided by."""

from __future__ import annotations

from tests.bench.contenders import buses, busway, emitters, queues
from tests.bench.rig import Contender, Loop

__all__ = ["baseline", "contenders", "find"]


def contenders() -> list[Contender]:
    """All that are installed; baselines first."""
    everybody = [*queues.CONTENDERS, *emitters.CONTENDERS, *buses.CONTENDERS, *busway.CONTENDERS]
    return [contender for contender in everybody if contender.installed()]


def baseline(loop: Loop) -> Contender:
    """The bare hand-off on that loop."""
    return queues.BARE[loop]


def find(name: str, loop: Loop) -> Contender:
    """One contender, which must be installed."""
    return next(found for found in contenders() if (found.name, found.loop) == (name, loop))
