"""Every numbered example runs by itself and ends well."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import RedisServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

ROOT = Path(__file__).resolve().parent.parent
ON_ITS_BUS = re.compile(r'^(bus = )Bus\((?:"memory://", )?', re.MULTILINE)
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


@pytest.mark.parametrize(
    "example",
    [each for each in EXAMPLES if ON_ITS_BUS.search(each.read_text())],
    ids=lambda e: e.stem,
)
def test_the_example_ends_well_when_its_url_is_that_of_a_redis(
    example: Path, examples_redis: RedisServer, tmp_path: Path
) -> None:
    """What is promised: change the URL, and nothing else."""
    examples_redis.command("FLUSHALL")
    text = ON_ITS_BUS.sub(f'\\1Bus("{examples_redis.url}", ', example.read_text())
    if 'service="' not in text:
        text = text.replace(
            f'Bus("{examples_redis.url}", ', f'Bus("{examples_redis.url}", service="e", '
        )
    changed = tmp_path / example.name
    changed.write_text(text)
    done = subprocess.run(
        [sys.executable, changed], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_the_examples_are_numbered_without_a_gap() -> None:
    """The number is the order to read them in."""
    numbers = [int(example.stem.split("_", 1)[0]) for example in EXAMPLES]
    assert numbers == list(range(1, len(EXAMPLES) + 1))
