"""Print what is larger than this house aims at. It is a report: it fails nothing.

    make sizes

The aims: 250 lines of code in a module, 30 in a function, 6 parameters (the two public entry
points may have more, by keyword). Docstrings, comments and blank lines are not counted: the
contract in busway.transport is prose, and should be.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULE, FUNCTION, PARAMETERS = 250, 30, 6

Function = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> None:
    found: list[str] = []
    for source in [ROOT / "src", *sorted(ROOT.glob("adapters/*/src"))]:
        files = sorted(source.rglob("*.py"))
        found += [line for file in files for line in report(file)]
        total = sum(len(code_lines(ast.parse(file.read_text()), file)) for file in files)
        print(f"sizes: {len(files)} modules, {total} lines of code in {source.relative_to(ROOT)}")
    print(f"sizes: over {MODULE} lines, {FUNCTION} lines a function or {PARAMETERS} parameters:")
    print("\n".join(f"    {line}" for line in found) or "    nothing")


def report(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text())
    name = file.relative_to(ROOT).as_posix()
    size = len(code_lines(tree, file))
    if size > MODULE:
        yield f"{name}: {size} lines"
    for node in ast.walk(tree):
        if isinstance(node, Function):
            size = len(code_lines(node, file))
            if size > FUNCTION:
                yield f"{name}:{node.lineno} {node.name}: {size} lines"
            if parameters(node) > PARAMETERS:
                yield f"{name}:{node.lineno} {node.name}: {parameters(node)} parameters"


def code_lines(tree: ast.AST, file: Path) -> set[int]:
    """The numbers of the lines that hold code. A docstring is an expression nobody uses."""
    lines = file.read_text().split("\n")
    first, last = getattr(tree, "lineno", 1), getattr(tree, "end_lineno", len(lines))
    held = {
        number
        for number in range(first, last + 1)
        if lines[number - 1].strip() and not lines[number - 1].lstrip().startswith("#")
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            held -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return held


def parameters(function: Function) -> int:
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    own = [each for each in named if each.arg not in ("self", "cls")]
    return len(own) + (given.vararg is not None) + (given.kwarg is not None)


if __name__ == "__main__":
    main()
