"""Who is measured, and the bare hand-off that each loop's figures are divided by."""

from __future__ import annotations

from tests.bench.contenders import buses, emitters, queues
from tests.bench.rig import Contender, Loop

__all__ = ["baseline", "contenders", "find"]


def contenders() -> list[Contender]:
    """All that are installed; baselines first."""
    everybody = [*queues.CONTENDERS, *emitters.CONTENDERS, *buses.CONTENDERS, *_busway()]
    return [contender for contender in everybody if contender.installed()]


def _busway() -> tuple[Contender, ...]:
    try:
        from tests.bench.contenders import busway
    except ImportError:  # the Bus has not landed
        return ()
    return busway.CONTENDERS


def baseline(loop: Loop) -> Contender:
    """The bare hand-off on that loop."""
    return queues.BARE[loop]


def find(name: str, loop: Loop) -> Contender:
    """One contender, which must be installed."""
    return next(found for found in contenders() if (found.name, found.loop) == (name, loop))
