"""A single Kafka, as a fixture, seen by plain aiokafka."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from tests.servers import KafkaServer, ServerError
from tests.servers._kafka import random_id
from tests.servers._kafka_settings import QUICK
from tests.servers._ports import free_ports
from tests.servers.plugin import started_or_skip

from ._plain import administering, make_topic, producing, read_topic
from ._waiting import alive, until

ROOT = Path(__file__).resolve().parents[2]
UNKNOWN_TOPIC = 3


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    with started_or_skip(lambda: KafkaServer(ways=1)) as server:
        yield server


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def values(server: KafkaServer, topic: str, many: int, **options: Any) -> list[bytes]:
    return [each.value for each in await read_topic(server.servers, topic, many, **options)]


@pytest.mark.anyio
@pytest.mark.parametrize("hard", [False, True], ids=["SIGTERM", "SIGKILL"])
async def test_a_restarted_server_has_its_port_and_what_was_written(
    server: KafkaServer, hard: bool
) -> None:
    topic, port = f"kept-{hard}", server.port
    await make_topic(server.servers, topic)
    async with producing(server.servers) as producer:
        await producer.send_and_wait(topic, b"before")
    await asyncio.to_thread(server.restart, hard=hard)
    async with producing(server.servers) as producer:
        await producer.send_and_wait(topic, b"after")
    assert server.port == port
    assert await values(server, topic, 2) == [b"before", b"after"]


@pytest.mark.anyio
async def test_a_group_has_its_turn_at_once_and_may_have_a_short_session(
    server: KafkaServer,
) -> None:
    await make_topic(server.servers, "grouped")
    async with producing(server.servers) as producer:
        await producer.send_and_wait("grouped", b"one")
    options = {"group_id": "us", "session_timeout_ms": 500, "heartbeat_interval_ms": 100}
    async with asyncio.timeout(10):
        assert await values(server, "grouped", 1, **options) == [b"one"]


@pytest.mark.anyio
async def test_a_topic_is_not_there_until_somebody_makes_it(server: KafkaServer) -> None:
    async with administering(server.servers) as client:
        (found,) = await client.describe_topics(["nobodys"])
    assert found["error_code"] == UNKNOWN_TOPIC


@pytest.mark.anyio
async def test_a_paused_server_answers_when_it_is_resumed(server: KafkaServer) -> None:
    await make_topic(server.servers, "paused")
    async with producing(server.servers) as producer:
        await producer.send_and_wait("paused", b"before")
        server.pause()
        assert server.running
        sent = await producer.send("paused", b"meanwhile")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(sent), 0.3)
        server.resume()
        await asyncio.wait_for(sent, 20)


@pytest.mark.anyio
async def test_a_killed_server_refuses_connections(server: KafkaServer) -> None:
    server.kill()
    assert not server.running
    with pytest.raises(KafkaConnectionError):
        await producing(server.servers).__aenter__()
    await asyncio.to_thread(server.start)


def test_a_paused_server_can_be_stopped(server: KafkaServer) -> None:
    server.pause()
    server.stop()
    assert not server.running
    server.start()


def test_a_client_that_comes_by_a_way_is_told_the_ports_of_the_proxies(
    server: KafkaServer,
) -> None:
    inner, outer = server.ways[0]
    listed = subprocess.run(
        ["kcat", "-L", "-b", f"127.0.0.1:{inner}"], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("kcat is not there")
    assert f"broker 1 at 127.0.0.1:{outer}" in listed.stdout


def test_what_it_is_told_counts_before_our_settings() -> None:
    with started_or_skip(
        lambda: KafkaServer(config={**QUICK, "group.min.session.timeout.ms": "7000"})
    ) as server:
        words = ["--bootstrap-server", server.servers, "--all", "--describe", "--broker", "1"]
        said = server.tool("kafka.admin.ConfigCommand", *words)
        assert re.search("group.min.session.timeout.ms=7000 ", said)


def test_no_cluster_has_a_name_that_its_tools_take_for_an_option() -> None:
    assert [made for made in (random_id() for _ in range(2_000)) if made.startswith("-")] == []


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(ServerError, match=r"log\.retention\.ms"):
        started_or_skip(lambda: KafkaServer(config={"log.retention.ms": "soon"})).__enter__()


def test_a_port_that_was_taken_at_the_last_moment_is_left_to_the_other(
    server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = iter([server.voters[1], server.port])
    others = iter([taken, free_ports()])
    monkeypatch.setattr("tests.servers._kafka.free_ports", lambda: next(others))
    with KafkaServer() as second:
        assert second.port != server.port
        assert second.look().cluster == second.cluster != server.cluster


def test_a_restart_on_a_port_that_somebody_took_says_so(server: KafkaServer) -> None:
    server.kill()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", server.port))
        other.listen()
        with pytest.raises(ServerError, match="somebody else listens on port"):
            server.start()
    server.start()


STARTS_ONE = """
import sys
from tests.servers import KafkaServer
server = KafkaServer().start()
print(server._running._process.pid, server.folder, flush=True)
sys.stdin.read()
"""


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("end", [signal.SIGKILL, None], ids=str)
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


def test_nothing_of_it_is_left_when_its_block_ends() -> None:
    with started_or_skip(KafkaServer) as server:
        folder, port = server.folder, server.port
    assert not folder.exists()
    with pytest.raises(ConnectionRefusedError):
        os.close(socket.create_connection(("127.0.0.1", port), 1).detach())
