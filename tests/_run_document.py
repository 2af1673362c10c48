"""Run one program of a document: ``python tests/_run_document.py NAME < program``.

The program's lines stand where they stand in the document, so a traceback names the document's
line. ``await`` at the top level is allowed, as in ``python -m asyncio``: a page may show three
lines without a ``main`` around them.
"""

from __future__ import annotations

import ast
import inspect
import sys

import anyio

__all__: list[str] = []

if __name__ == "__main__":
    program = compile(
        sys.stdin.read(),
        sys.argv[1],
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        dont_inherit=True,
    )
    # Not exec: only eval hands back the coroutine that a top-level await makes of the program.
    awaitable = eval(program)
    if inspect.iscoroutine(awaitable):

        async def main() -> None:
            await awaitable

        anyio.run(main)
