"""What ``import busway`` takes beyond anyio and msgspec, in fresh interpreters."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from tempfile import TemporaryDirectory

from tests.bench.figures import Goal, Section
from tests.bench.measure import Settings, Spread

__all__ = ["measure"]

GOAL = Goal(40)
PROGRAM = """
import anyio, msgspec
from time import perf_counter
started = perf_counter()
import busway
print(perf_counter() - started)
"""


def once(cache: str) -> float:
    """Milliseconds. Compiled modules are kept, wherever the caller keeps its own."""
    keeping = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
    keeping.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=keeping)
    return float(done.stdout) * 1e3


def measure(settings: Settings) -> Iterable[Section]:
    with TemporaryDirectory() as cache:
        once(cache)  # compiles
        taken = tuple(once(cache) for _ in range(3 if settings.short else 10))
    section = Section("Import", ("what",), "measured", "ms")
    section.add(("import busway, beyond anyio and msgspec",), Spread(taken), GOAL)
    yield section
