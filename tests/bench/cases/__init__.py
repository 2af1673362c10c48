"""The cases, by the names ``--only`` takes, in the order they are printed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import cast

from tests.bench.figures import Section
from tests.bench.measure import Settings

__all__ = ["CASES", "Case", "case"]

Case = Callable[[Settings], Iterable[Section]]

CASES = (
    "throughput",
    "single",
    "fanout",
    "requests",
    "latency",
    "routing",
    "codec",
    "models",
    "memory",
    "imports",
    "redis",
    "kafka",
    "faststream",
)


def case(name: str) -> Case:
    """Imported when it is run: one case needs only the parts that it measures."""
    return cast("Case", import_module(f"tests.bench.cases.{name}").measure)
