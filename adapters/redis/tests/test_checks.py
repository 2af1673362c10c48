"""What a server must be like, and what is said of one that is not."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import anyio
import pytest

from busway.errors import TransportError
from busway_redis import open_redis
from busway_redis._checks import check, facts_of
from busway_redis._options import Options
from tests.servers import Fsync, RedisServer
from tests.servers.plugin import started_or_skip

pytestmark = pytest.mark.anyio


@contextmanager
def server(*config: str, durable: bool = True) -> Generator[RedisServer]:
    fsync: Fsync | None = "everysec" if durable else None
    with started_or_skip(lambda: RedisServer(fsync=fsync, config=config)) as one:
        yield one


async def entered(url: str) -> None:
    async with open_redis(url):
        pass


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "busway.redis"]


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_server_that_evicts_is_refused_with_the_reason(
    redis_server: RedisServer, policy: str
) -> None:
    redis_server.command("CONFIG", "SET", "maxmemory-policy", policy)
    try:
        with pytest.raises(TransportError, match=f"{policy}.*throws away.*noeviction") as caught:
            await entered(redis_server.url)
    finally:
        redis_server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert not caught.value.retryable


async def test_who_insists_gets_a_server_that_evicts_and_one_warning(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        await entered(f"{redis_server.url}?allow_eviction=1")
    finally:
        redis_server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    (line,) = said(caplog)
    assert "allkeys-lru" in line


async def test_of_a_server_that_is_as_it_should_be_nothing_is_said(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    await entered(redis_server.url)
    assert said(caplog) == []


async def test_a_server_that_keeps_nothing_on_disk_is_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with server(durable=False) as one:
        await entered(one.url)
        (line,) = said(caplog)
        assert "keeps nothing on disk" in line
        caplog.clear()
        one.command("CONFIG", "SET", "save", "900 1")
        await entered(one.url)
        assert said(caplog) == []


async def test_replicas_without_wait_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with server() as master, server() as replica:
        replica.command("REPLICAOF", "127.0.0.1", master.port)
        await _in_step(master, 1)
        await entered(master.url)
        (line,) = said(caplog)
        assert "a failover can lose" in line
        caplog.clear()
        await entered(f"{master.url}?wait=1")
        assert said(caplog) == []
        await entered(f"{master.url}?wait=2")
        (line,) = said(caplog)
        assert "wait=2, and it has 1 replicas" in line


async def test_a_replica_is_refused_for_now() -> None:
    with server() as master, server() as replica:
        replica.command("REPLICAOF", "127.0.0.1", master.port)
        with pytest.raises(TransportError, match=f"a replica of 127.0.0.1:{master.port}") as caught:
            await entered(replica.url)
        assert caught.value.retryable


async def test_a_user_who_may_not_ask_gets_one_warning(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    rules = ("on", ">secret", "~*", "&*", "+@all", "-info", "-config")
    redis_server.command("ACL", "SETUSER", "curious", *rules)
    try:
        await entered(redis_server.url.replace("//", "//curious:secret@"))
    finally:
        redis_server.command("ACL", "DELUSER", "curious")
    (line,) = said(caplog)
    assert "INFO is not permitted" in line
    assert "secret" not in line


async def test_a_user_who_may_not_see_the_configuration_is_told_what_is_not_known(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with server(durable=False) as one:
        one.command("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-config")
        await entered(one.url.replace("//", "//app:secret@"))
    (line,) = said(caplog)
    assert "CONFIG is not permitted" in line


class Pretender:
    """Masters that say what they are told to say."""

    def __init__(self, *infos: str) -> None:
        self._infos = infos

    async def everywhere(self, *command: str) -> Sequence[object]:
        if command[0] == "INFO":
            return [info.replace("\n", "\r\n").encode() for info in self._infos]
        return [[b"save", b""] for _ in self._infos]


@pytest.mark.parametrize("version", ["6.0.16", "5.0.7", "6.1.240"])
async def test_a_server_older_than_the_floor_is_refused(version: str) -> None:
    old = Pretender(f"redis_version:{version}\naof_enabled:1\n")
    with pytest.raises(TransportError, match=f"Redis {version}, and 6.2 is the oldest") as caught:
        await check(old, Options())  # type: ignore[arg-type]
    assert not caught.value.retryable


@pytest.mark.parametrize("version", ["6.2.0", "7.0.15", "10.1"])
async def test_a_server_of_the_floor_or_newer_is_taken(version: str) -> None:
    new = Pretender(f"redis_version:{version}\naof_enabled:1\n")
    await check(new, Options())  # type: ignore[arg-type]


async def test_each_master_of_a_cluster_is_looked_at() -> None:
    good = "redis_version:7.0.15\naof_enabled:1\nmaxmemory_policy:noeviction\n"
    bad = "redis_version:7.0.15\naof_enabled:1\nmaxmemory_policy:allkeys-lfu\n"
    with pytest.raises(TransportError, match="allkeys-lfu"):
        await check(Pretender(good, bad), Options())  # type: ignore[arg-type]


def test_the_lines_of_info_are_read() -> None:
    assert facts_of(b"# Server\r\nredis_version:7.0.15\r\nrole:master\r\n") == {
        "redis_version": "7.0.15",
        "role": "master",
    }


async def test_a_server_that_says_nothing_is_given_up_in_time(own_redis: RedisServer) -> None:
    own_redis.pause()
    try:
        with pytest.raises(TransportError):
            await entered(f"{own_redis.url}?timeout=500ms&lease=10s")
    finally:
        own_redis.resume()


async def _in_step(master: RedisServer, replicas: int) -> None:
    with anyio.fail_after(20.0):
        while master.command("WAIT", replicas, 50) != replicas:
            await anyio.sleep(0.02)


@pytest.fixture(autouse=True)
def _listen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "busway.redis")
