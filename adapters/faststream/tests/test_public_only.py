"""What is not FastStream's public interface is imported by one module at most."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__: list[str] = []

SOURCE = Path(__file__).resolve().parent.parent / "src" / "busway_faststream"
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path.name != "_compat.py")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_public_modules_of_faststream_are_all_that_is_imported(module: Path) -> None:
    frameworks = [
        name for name in imported(module) if name.startswith(("faststream", "fast_depends"))
    ]
    assert [name for name in frameworks if "._" in name] == []
