"""Every numbered example runs by itself and ends well."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import RedisServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture(scope="module")
def examples_redis() -> Iterator[RedisServer]:
    """One that no other test has keys in: examples use the default prefix."""
    with started_or_skip(RedisServer) as server:
        yield server


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_ends_well(example: Path, request: pytest.FixtureRequest) -> None:
    """With warnings as errors, as a person would start it, without a terminal to read from."""
    url = {}
    if "BUSWAY_URL" in example.read_text():
        server: RedisServer = request.getfixturevalue("examples_redis")
        server.command("FLUSHALL")
        url["BUSWAY_URL"] = server.url
    done = subprocess.run(
        [sys.executable, "-W", "error", example],
        cwd=ROOT,
        env={**os.environ, **url, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert done.stdout.strip(), "an example shows something"


def test_the_examples_are_numbered_without_a_gap() -> None:
    """The number is the order to read them in."""
    numbers = [int(example.stem.split("_", 1)[0]) for example in EXAMPLES]
    assert numbers == list(range(1, len(EXAMPLES) + 1))
