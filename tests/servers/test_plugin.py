"""What a run says when there is nothing to start a server with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import NoServer, RedisServer

ROOT = Path(__file__).resolve().parents[2]

TESTS = """
import os
import pytest

def test_of_redis(redis_server):
    assert redis_server.command("PING") == "PONG"

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
    ours = {"CI", "BUSWAY_NOT_TESTED", "BUSWAY_TEST_REDIS_URL"}
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


@pytest.fixture
def nothing(tmp_path: Path) -> str:
    """A PATH with no program in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return str(folder)


def test_what_was_not_run_is_listed_at_the_end(tmp_path: Path, nothing: str) -> None:
    ran = run(tmp_path, PATH=nothing)
    _, found, end = ran.stdout.partition("NOT TESTED")
    assert found, ran.stdout
    assert "3 tests were not run for want of a server" in end
    assert "no redis-server on PATH, and no docker" in end
    assert "test_something.py: 3" in end
    assert "of another kind" not in end
    assert ran.returncode == pytest.ExitCode.OK


def test_the_list_is_written_for_who_goes_on_after_the_tests(tmp_path: Path, nothing: str) -> None:
    file = tmp_path / "not-tested"
    run(tmp_path, PATH=nothing, BUSWAY_NOT_TESTED=str(file))
    assert "3 tests were not run for want of a server" in file.read_text()


def test_what_was_not_run_is_a_failure_in_ci(tmp_path: Path, nothing: str) -> None:
    ran = run(tmp_path, PATH=nothing, CI="true")
    assert "so this run has failed" in ran.stdout
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("ci", ["", "true"])
@pytest.mark.usefixtures("redis_server")
def test_a_run_with_a_server_says_nothing_of_it(tmp_path: Path, ci: str) -> None:
    ran = run(tmp_path, CI=ci)
    assert "NOT TESTED" not in ran.stdout
    assert "4 passed, 1 skipped" in ran.stdout
    assert ran.returncode == pytest.ExitCode.OK


def test_a_server_that_is_named_serves_the_tests_that_need_none_of_their_own(
    tmp_path: Path, nothing: str
) -> None:
    ran = run(tmp_path, PATH=nothing, BUSWAY_TEST_REDIS_URL="redis://elsewhere:1/0")
    assert "1 test was not run for want of a server" in ran.stdout
    assert "3 passed, 2 skipped" in ran.stdout


def test_a_run_that_failed_anyway_keeps_its_status(tmp_path: Path, nothing: str) -> None:
    (tmp_path / "test_broken.py").write_text("raise ZeroDivisionError")
    ran = run(tmp_path, PATH=nothing, CI="true")
    assert ran.returncode == pytest.ExitCode.INTERRUPTED


DOCKER = """#!/bin/sh
# As much of docker as is asked for: its containers are processes of this machine.
echo "$@" >> {folder}/asked
case "$1" in
    info) exit {status} ;;
    kill) kill -s "${{3#SIG}}" "$(cat {folder}/$4)" ;;
    rm) kill -s KILL "$(cat {folder}/$3)" ;;
    run)
        while [ "$1" != redis:7 ]; do
            [ "$1" = --name ] && echo $$ > {folder}/$2
            shift
        done
        shift 2
        exec {server} "$@" ;;
esac
"""


def put_docker(folder: str, *, status: int = 0, server: str = "") -> None:
    path = Path(folder) / "docker"
    path.write_text(DOCKER.format(folder=folder, status=status, server=server))
    path.chmod(0o755)


def test_an_engine_that_does_not_answer_is_none(
    nothing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_docker(nothing, status=1)
    monkeypatch.setenv("PATH", nothing)
    with pytest.raises(NoServer, match="no Docker engine answers"):
        RedisServer().__enter__()


def test_dockers_image_serves_where_there_is_no_redis_server(
    nothing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("the double of Docker needs a redis-server of this machine")
    # It runs as a server by its name.
    named = Path(nothing) / "hidden" / "redis-server"
    named.parent.mkdir()
    named.symlink_to(Path(program).resolve())
    put_docker(nothing, server=str(named))
    (Path(nothing) / "cat").symlink_to("/bin/cat")
    monkeypatch.setenv("PATH", nothing)
    with RedisServer(fsync="always") as server:
        server.command("SET", "key", "value")
        server.restart(hard=True)
        assert server.command("GET", "key") == "value"
        server.pause()
        server.resume()
        server.stop()
        assert not server.running
    asked = (Path(nothing) / "asked").read_text()
    assert "kill --signal SIGSTOP busway-test-" in asked
    assert f"--volume {server.folder}:{server.folder}" in asked
