"""Every numbered example runs by itself and ends well."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emptying import emptied
from tests.servers import KafkaServer, RedisServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

ROOT = Path(__file__).resolve().parent.parent
ON_ITS_BUS = re.compile(r'^(bus = )Bus\((?!URL)(?:"memory://", )?', re.MULTILINE)
# How many events a batch has is a matter of when they arrive; here they come from three partitions.
BY_TIME = {"12_page_seo_pipeline-kafka"}
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture(scope="module")
def examples_redis() -> Iterator[RedisServer]:
    """One that no other test has keys in: examples use the default prefix."""
    with started_or_skip(RedisServer) as server:
        yield server


@pytest.fixture(scope="module")
def examples_kafka() -> Iterator[KafkaServer]:
    with started_or_skip(KafkaServer) as server:
        yield server


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_ends_well(example: Path, request: pytest.FixtureRequest) -> None:
    """With warnings as errors, as a person would start it, without a terminal to read from."""
    url = {}
    if "BUSWAY_URL" in example.read_text():
        server: RedisServer = request.getfixturevalue("examples_redis")
        server.command("FLUSHALL")
        url["BUSWAY_URL"] = server.url
    if "BUSWAY_KAFKA" in example.read_text():
        url["BUSWAY_KAFKA"] = emptied(request.getfixturevalue("examples_kafka")).url
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
    ("example", "broker"),
    [
        pytest.param(each, broker, id=f"{each.stem}-{broker}")
        for each in EXAMPLES
        for broker in ("redis", "kafka")
        if ON_ITS_BUS.search(each.read_text()) and f"{each.stem}-{broker}" not in BY_TIME
    ],
)
def test_the_example_ends_well_when_its_url_is_that_of_a_broker(
    example: Path, broker: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What is promised: change the URL, and nothing else."""
    server: RedisServer | KafkaServer = request.getfixturevalue(f"examples_{broker}")
    if isinstance(server, RedisServer):
        server.command("FLUSHALL")
    else:
        emptied(server)
    text = ON_ITS_BUS.sub(f'\\1Bus("{server.url}", ', example.read_text())
    if 'service="' not in text:
        text = text.replace(f'Bus("{server.url}", ', f'Bus("{server.url}", service="e", ')
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
