"""What a case hands back: sections of rows, each with a median, a spread and perhaps a goal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.bench.measure import Spread

__all__ = ["Goal", "Row", "Section", "Unit", "shown"]

Unit = Literal["x", "us", "ms", "bytes", "MB", "per s", "events"]


@dataclass(frozen=True)
class Goal:
    """Where a figure should lie, and where the work is not done."""

    bound: float
    at_least: bool = False
    """Whether more is better; else less is."""
    floor: float | None = None

    def met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    def below_floor(self, value: float) -> bool:
        return self.floor is not None and value < self.floor

    def verdict(self, value: float) -> str:
        if self.met(value):
            return "met"
        return "below the floor" if self.below_floor(value) else "short of it"

    def text(self, unit: Unit) -> str:
        return f"{'≥' if self.at_least else '≤'} {shown(self.bound, unit)}"


@dataclass(frozen=True)
class Row:
    labels: tuple[str, ...]
    spread: Spread
    goal: Goal | None = None
    details: tuple[str, ...] = ()
    unit: Unit | None = None
    """Where it differs from the section's."""


@dataclass
class Section:
    """One table."""

    title: str
    labels: tuple[str, ...]
    headline: str
    unit: Unit
    details: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)
    note: str = ""

    def add(
        self,
        labels: Sequence[str],
        spread: Spread,
        goal: Goal | None = None,
        details: Sequence[str] = (),
        unit: Unit | None = None,
    ) -> None:
        self.rows.append(Row(tuple(labels), spread, goal, tuple(details), unit))


def shown(value: float, unit: Unit) -> str:
    """A figure with as many digits as mean something."""
    match unit:
        case "x":
            return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
        case "us":
            return f"{value:,.2f} µs" if value < 100 else f"{value:,.0f} µs"
        case "per s":
            return f"{value:,.0f}/s"
        case "events":
            return f"{value:,.0f}"
        case "bytes":
            return f"{value:,.0f} B"
        case _:
            return f"{value:,.1f} {unit}"
