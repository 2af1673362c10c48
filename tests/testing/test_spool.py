"""The transport of ``docs/writing-a-transport.md`` passes the suite, its code taken from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.test_docs import blocks_of

__all__: list[str] = []

PAGE = Path(__file__).resolve().parents[2] / "docs" / "writing-a-transport.md"
FILES = ("# spool.py", "# test_spool.py")

blocks = [block for block in blocks_of(PAGE) if block.code.startswith(FILES)]
# On the lines where it stands, so that a traceback names the page's line.
for block in blocks:
    exec(compile("\n" * block.line + block.code, str(PAGE), "exec"), globals())

TestSpool: Any
TestBusOverSpool: Any


def test_the_page_has_the_transport_and_its_tests() -> None:
    assert {block.code.split("\n", 1)[0] for block in blocks} == set(FILES)
    assert {"TestSpool", "TestBusOverSpool"} <= globals().keys()
