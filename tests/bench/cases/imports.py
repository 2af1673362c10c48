"""What ``import busway`` takes beyond anyio and msgspec, in fresh interpreters."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable

from tests.bench.figures import Goal, Section
from tests.bench.measure import Settings, Spread

__all__ = ["measure"]

PROGRAM = """
import anyio, msgspec
from time import perf_counter
started = perf_counter()
import busway
print(perf_counter() - started)
"""


def once() -> float:
    command = [sys.executable, "-c", PROGRAM]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure(settings: Settings) -> Iterable[Section]:
    once()  # writes the bytecode and warms the disk's cache
    taken = tuple(once() * 1e3 for _ in range(3 if settings.short else 10))
    section = Section("Import", ("what",), "measured", "ms")
    section.add(("import busway, beyond anyio and msgspec",), Spread(taken), Goal(40))
    yield section
