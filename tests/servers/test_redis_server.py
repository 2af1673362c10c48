"""A single Redis, as a fixture."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import ErrorReply, RedisServer, ServerError
from tests.servers._ports import free_port
from tests.servers.plugin import started_or_skip

from ._waiting import alive, until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with started_or_skip(lambda: RedisServer(fsync="always")) as server:
        yield server


def test_it_keeps_an_append_only_file_and_synchronises_it_each_second(
    redis_server: RedisServer,
) -> None:
    assert redis_server.command("CONFIG", "GET", "appendonly") == ["appendonly", "yes"]
    assert redis_server.command("CONFIG", "GET", "appendfsync") == ["appendfsync", "everysec"]


@pytest.mark.parametrize("hard", [False, True], ids=["SIGTERM", "SIGKILL"])
def test_a_restarted_server_has_its_port_and_what_was_written(
    server: RedisServer, hard: bool
) -> None:
    port, process = server.port, server.info("server")["process_id"]
    server.command("SET", "key", "value")
    server.restart(hard=hard)
    assert server.info("server")["process_id"] != process
    assert (server.port, server.command("GET", "key")) == (port, "value")


def test_a_killed_server_refuses_connections(server: RedisServer) -> None:
    server.kill()
    assert not server.running
    with pytest.raises(ConnectionRefusedError):
        server.command("PING")


def test_a_paused_server_answers_when_it_is_resumed(server: RedisServer) -> None:
    with server.connect(timeout=0.2) as connection:
        server.pause()
        assert server.running
        with pytest.raises(TimeoutError):
            connection.command("PING")
    server.resume()
    assert server.command("PING") == "PONG"


def test_a_paused_server_can_be_stopped(server: RedisServer) -> None:
    server.pause()
    server.stop()
    assert not server.running


def test_it_listens_on_a_unix_socket_too(redis_server: RedisServer) -> None:
    assert redis_server.unix_url == f"unix://{redis_server.unix_socket}?db=0"
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(str(redis_server.unix_socket))
        stream.sendall(b"PING\r\n")
        assert stream.recv(100) == b"+PONG\r\n"


def test_lines_of_its_configuration_count_before_ours() -> None:
    with started_or_skip(lambda: RedisServer(config=["appendonly no", "maxmemory 12mb"])) as server:
        assert server.command("CONFIG", "GET", "appendonly") == ["appendonly", "no"]
        assert server.command("CONFIG", "GET", "maxmemory") == ["maxmemory", str(12 * 1024**2)]


def test_a_wrong_configuration_is_named() -> None:
    with pytest.raises(ServerError, match="no-such-thing"):
        started_or_skip(lambda: RedisServer(config=["no-such-thing 1"])).__enter__()


def test_an_error_is_raised_as_what_the_server_said(redis_server: RedisServer) -> None:
    with pytest.raises(ErrorReply, match="unknown command 'NONSENSE'"):
        redis_server.command("NONSENSE")


def test_a_port_that_was_taken_at_the_last_moment_is_left_to_the_other(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = free_port()
    ports = iter([server.port, other])
    monkeypatch.setattr("tests.servers._node.free_port", lambda: next(ports))
    with RedisServer() as second:
        assert second.port == other
        assert second.command("PING") == "PONG"


def test_a_restart_on_a_port_that_somebody_took_says_so(server: RedisServer) -> None:
    server.kill()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", server.port))
        other.listen()
        with pytest.raises(ServerError, match="somebody else listens on port"):
            server.start()


def silence(*_: object) -> str:
    raise TimeoutError


def test_what_does_not_come_up_in_time_is_an_error_with_its_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with started_or_skip(RedisServer) as server:
        server.kill()
        server.patience = 0.3
        monkeypatch.setattr(server, "command", silence)
        with pytest.raises(ServerError, match=r"not within 0\.3 s: an answer on port .*\n(.*\n)+"):
            server.start()
        assert not server.running, "it is not left behind"


def test_a_server_outlives_the_thread_that_started_it() -> None:
    with started_or_skip(RedisServer) as server:
        server.kill()
        starter = threading.Thread(target=server.start)
        starter.start()
        starter.join()
        assert server.command("PING") == "PONG"


def test_nothing_of_it_is_left_when_its_block_ends() -> None:
    with started_or_skip(RedisServer) as server:
        process = int(server.info("server")["process_id"])
    assert not server.folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


STARTS_ONE = """
import sys
from tests.servers import RedisServer
server = RedisServer().start()
print(server.info("server")["process_id"], server.folder, flush=True)
sys.stdin.read()
"""


@pytest.mark.usefixtures("redis_server")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, None], ids=str)
def test_nothing_is_left_of_a_process_that_ends_without_a_word(end: signal.Signals | None) -> None:
    starts = subprocess.Popen(
        [sys.executable, "-c", STARTS_ONE],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with starts:
        assert starts.stdin is not None
        assert starts.stdout is not None
        process, folder = starts.stdout.readline().split()
        assert alive(int(process))
        if end is None:
            starts.stdin.close()
        else:
            starts.send_signal(end)
        until(lambda: not alive(int(process)))
        until(lambda: not Path(folder).exists())
