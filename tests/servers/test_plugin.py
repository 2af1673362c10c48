"""What a run says when there is nothing to start a server with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TESTS = """
import os
import pytest

def test_of_redis(redis_server):
    assert redis_server.command("PING") == "PONG"

def test_of_kafka(kafka_server):
    assert kafka_server.look().cluster

def test_of_kafkas_url(kafka_url):
    assert kafka_url == os.environ.get("BUSWAY_TEST_KAFKA_URL", kafka_url)

@pytest.mark.parametrize("one", [1, 2])
def test_of_a_url(redis_url, one):
    assert redis_url == os.environ.get("BUSWAY_TEST_REDIS_URL", redis_url)

def test_of_nothing():
    pass

@pytest.mark.skip(reason="of another kind")
def test_of_another_system():
    pass
"""


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run TESTS, with the environment as given on top of one that says nothing of CI."""
    (folder / "test_something.py").write_text(TESTS)
    ours = {"CI", "BUSWAY_NOT_TESTED", "BUSWAY_TEST_REDIS_URL", "BUSWAY_TEST_KAFKA_URL"}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith("PYTEST")
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.servers.plugin", str(folder)]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", f"--rootdir={folder}", "-c", os.devnull],
        cwd=ROOT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_what_was_not_run_is_listed_at_the_end(tmp_path: Path, nothing: str) -> None:
    ran = run(tmp_path, PATH=nothing)
    _, found, end = ran.stdout.partition("NOT TESTED")
    assert found, ran.stdout
    assert "5 tests were not run for want of a server" in end
    assert "no redis-server on PATH, and no docker" in end
    assert "no java of version 17 or newer on PATH, and no docker" in end
    assert "test_something.py: 5" in end
    assert "what librdkafka's mock broker can do" in end
    assert "of another kind" not in end
    assert ran.returncode == pytest.ExitCode.OK


def test_the_list_is_written_for_who_goes_on_after_the_tests(tmp_path: Path, nothing: str) -> None:
    file = tmp_path / "not-tested"
    run(tmp_path, PATH=nothing, BUSWAY_NOT_TESTED=str(file))
    assert "5 tests were not run for want of a server" in file.read_text()


def test_what_was_not_run_is_a_failure_in_ci(tmp_path: Path, nothing: str) -> None:
    ran = run(tmp_path, PATH=nothing, CI="true")
    assert "so this run has failed" in ran.stdout
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("ci", ["", "true"])
@pytest.mark.usefixtures("redis_server", "kafka_server")
def test_a_run_with_a_server_says_nothing_of_it(tmp_path: Path, ci: str) -> None:
    ran = run(tmp_path, CI=ci)
    assert "NOT TESTED" not in ran.stdout
    assert "6 passed, 1 skipped" in ran.stdout
    assert ran.returncode == pytest.ExitCode.OK


def test_a_server_that_is_named_serves_the_tests_that_need_none_of_their_own(
    tmp_path: Path, nothing: str
) -> None:
    named = {
        "BUSWAY_TEST_REDIS_URL": "redis://elsewhere:1/0",
        "BUSWAY_TEST_KAFKA_URL": "kafka://elsewhere:1/",
    }
    ran = run(tmp_path, PATH=nothing, **named)
    assert "2 tests were not run for want of a server" in ran.stdout
    assert "4 passed, 3 skipped" in ran.stdout


def test_a_run_that_failed_anyway_keeps_its_status(tmp_path: Path, nothing: str) -> None:
    (tmp_path / "test_broken.py").write_text("raise ZeroDivisionError")
    ran = run(tmp_path, PATH=nothing, CI="true")
    assert ran.returncode == pytest.ExitCode.INTERRUPTED
