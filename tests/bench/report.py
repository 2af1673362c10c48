"""The tables on the screen, and the raw numbers in a file."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench import plain
from tests.bench.figures import Row, Section, shown

__all__ = ["below_floor", "console", "facts", "print_facts", "print_section", "print_tally", "save"]

PACKAGES = (
    "anyio", "msgspec", "trio", "uvloop", "pyee", "blinker", "pymitter", "aiopubsub", "bubus",
    "redis", "hiredis", "aiokafka", "confluent-kafka", "faststream",
)  # fmt: skip
COLOURS = {"met": "green", "short of it": "yellow", "below the floor": "red"}


def console() -> Console:
    """Coloured on a terminal; elsewhere plain text."""
    return Console(no_color=not sys.stdout.isatty())


def print_section(out: Console, section: Section) -> None:
    goals = any(row.goal for row in section.rows)
    between = (section.headline, "least … most", *(("goal", "reached") if goals else ()))
    headings = (*section.labels, *between, *section.details)
    rows = [_cells(section, row, goals=goals) for row in section.rows]
    if out.is_terminal:
        _print_rich(out, section, headings, rows)
        return
    text = [f"### {section.title}", "", *plain.lines(headings, rows, len(section.labels))]
    print("\n".join([*text, *(("", section.note) if section.note else ())]), end="\n\n", flush=True)


def _print_rich(
    out: Console, section: Section, headings: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    table = Table(
        title=section.title,
        title_justify="left",
        caption=section.note,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for column, heading in enumerate(headings):
        justify: Literal["left", "right"] = "left" if column < len(section.labels) else "right"
        table.add_column(heading, justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*(f"[{COLOURS[cell]}]{cell}[/]" if cell in COLOURS else cell for cell in row))
    out.print(table)


def _cells(section: Section, row: Row, *, goals: bool) -> list[str]:
    unit = row.unit or section.unit
    spread = row.spread
    between = f"{shown(spread.least, unit)} … {shown(spread.most, unit)}"
    cells = [*row.labels, shown(spread.middle, unit), between]
    if row.goal is not None:
        cells += [row.goal.text(unit), row.goal.verdict(spread.middle)]
    elif goals:
        cells += ["", ""]
    missing = len(section.details) - len(row.details)
    return [*cells, *row.details, *[""] * missing]


def below_floor(sections: Sequence[Section]) -> list[Row]:
    rows = (row for section in sections for row in section.rows)
    return [row for row in rows if row.goal and row.goal.below_floor(row.spread.middle)]


def print_tally(out: Console, sections: Sequence[Section]) -> None:
    aimed = [row for section in sections for row in section.rows if row.goal]
    met = [row for row in aimed if row.goal and row.goal.met(row.spread.middle)]
    floors = len(below_floor(sections))
    text = f"{len(met)} of {len(aimed)} goals met; {floors} below a floor."
    out.print(text, highlight=False)


def facts() -> dict[str, Any]:
    """What the figures depend on; nothing that tells whose machine it is."""
    versions: dict[str, str] = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "packages": versions,
    }


def print_facts(out: Console) -> None:
    known = facts()
    packages = ", ".join(f"{name} {number}" for name, number in known["packages"].items())
    text = (
        f"{known['implementation']} {known['python']}, {known['system']} {known['machine']}, "
        f"{known['cores']} cores; {packages}"
    )
    out.print(text, highlight=False, soft_wrap=True)


def save(path: Path, sections: Sequence[Section]) -> None:
    """Every repeat's value of every row, as JSON."""
    body = {"facts": facts(), "sections": [asdict(section) for section in sections]}
    path.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
