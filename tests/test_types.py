"""The public API's types, as two type checkers see them.

tests/typing/ says what each public call gives (``assert_type``) and what must not pass: an ignore
that has nothing to ignore is an error for both checkers.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

__all__: list[str] = []

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.timeout(110)
@pytest.mark.parametrize(
    "checker",
    [["mypy", "--strict", "tests/typing"], ["pyright", "tests/typing"]],
    ids=lambda c: c[0],
)
def test_the_public_types_are_what_the_typing_tests_say(checker: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *checker],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
