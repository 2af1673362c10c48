"""One server: what is connected, what is sent once, and what is said when it cannot be."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import traceback
import warnings
from typing import Any
from urllib.parse import quote

import pytest

from busway.errors import TransportError
from busway_redis._client import options_of
from busway_redis._errors import NotSent, Refused, Unanswered
from busway_redis._scripts import Script
from busway_redis._topology import Topology, topology_of
from tests.servers import RedisServer, TlsServer

from .opening import opened

pytestmark = pytest.mark.anyio

PAIR = Script("return {KEYS[1], ARGV[1]}")


async def test_a_command_is_answered(redis_url: str) -> None:
    async with opened(redis_url) as topology:
        assert not topology.one_slot
        assert await topology.call("k", "ECHO", "hello") == b"hello"
        assert await topology.begin("k", "ECHO", "more") == b"more"
        assert await topology.everywhere("PING") == [b"PONG"]
        assert topology.connections == 1


async def test_a_script_that_the_server_forgot_is_sent_again(own_redis: RedisServer) -> None:
    async with opened(own_redis.url) as topology:
        assert await topology.script(PAIR, ["k"], ["v"]) == [b"k", b"v"]
        own_redis.command("SCRIPT", "FLUSH")
        assert await topology.script(PAIR, ["k"], ["v"]) == [b"k", b"v"]
        own_redis.command("CONFIG", "RESETSTAT")
        assert await topology.script(PAIR, ["k"], ["v"]) == [b"k", b"v"]
        assert "cmdstat_eval" not in own_redis.info("commandstats")


async def test_a_reader_has_a_connection_of_its_own(redis_url: str) -> None:
    async with opened(redis_url) as topology:
        reader = topology.reader("k")
        assert await reader.call("CLIENT", "ID") != await topology.call("k", "CLIENT", "ID")
        await reader.close()


async def test_it_goes_over_a_unix_socket(redis_server: RedisServer) -> None:
    async with opened(redis_server.unix_url) as topology:
        assert b"flags=U" in await topology.call("k", "CLIENT", "INFO")


async def test_the_database_of_the_url_is_used(redis_server: RedisServer) -> None:
    async with opened(f"redis://127.0.0.1:{redis_server.port}/3") as topology:
        assert b" db=3 " in await topology.call("k", "CLIENT", "INFO")


async def test_what_a_server_refuses_has_its_code(redis_server: RedisServer) -> None:
    redis_server.command("SET", "a-text", "v")
    async with opened(redis_server.url) as topology:
        with pytest.raises(Refused, match="Something else is stored") as caught:
            await topology.call("a-text", "XADD", "a-text", "*", "f", "v")
        assert (caught.value.code, caught.value.retryable) == ("WRONGTYPE", False)


async def test_a_server_that_is_not_there_is_named(own_redis: RedisServer) -> None:
    own_redis.kill()
    topology = topology_of(options_of(own_redis.url, timeout=0.3))
    with pytest.raises(NotSent, match=f"127.0.0.1:{own_redis.port}: .*Connection refused"):
        await topology.open()


async def test_a_killed_server_is_used_again_when_it_is_back(own_redis: RedisServer) -> None:
    async with opened(own_redis.url) as topology:
        await topology.call("k", "SET", "k", "1")
        await asyncio.to_thread(own_redis.restart, hard=True)
        assert await topology.call("k", "INCR", "k") == 2
        assert topology.connections == 2


async def test_what_may_have_been_executed_is_not_sent_again(own_redis: RedisServer) -> None:
    async with opened(own_redis.url, timeout=2) as topology:
        identity = await topology.call("k", "CLIENT", "ID")
        own_redis.pause()
        added = topology.begin("k", "XADD", "k", "*", "f", "v")
        await written(topology, added)
        own_redis.resume()
        own_redis.command("CLIENT", "KILL", "ID", identity)
        with contextlib.suppress(Unanswered):
            await added
        assert await topology.call("k", "XLEN", "k") <= 1


async def written(topology: Topology, begun: asyncio.Future[Any]) -> None:
    """A turn of the loop later it is with the server's kernel."""
    for _ in range(3):
        await asyncio.sleep(0)
    assert not begun.done()


async def test_a_server_that_was_demoted_is_dialled_anew(own_redis: RedisServer) -> None:
    """Behind a name or an address that moves, another server is the master now."""
    async with opened(own_redis.url) as topology:
        reader = topology.reader("k")
        before = await reader.call("CLIENT", "ID")
        own_redis.command("REPLICAOF", "127.0.0.1", 1)
        for way in (topology.call, topology.begin):
            with pytest.raises(Refused, match="READONLY") as caught:
                await way("k", "SET", "k", "1")
            assert caught.value.retryable
        with pytest.raises(Refused, match="READONLY"):
            await reader.call("SET", "k", "1")
        assert await reader.call("CLIENT", "ID") != before
        own_redis.command("REPLICAOF", "NO", "ONE")
        assert await topology.call("k", "SET", "k", "1") == b"OK"
        assert topology.connections == 2
        await reader.close()


async def test_nothing_is_left_when_it_is_closed(redis_url: str) -> None:
    before = asyncio.all_tasks()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with opened(redis_url) as topology:
            reader = topology.reader("k")
            await reader.call("PING")
            await reader.close()
    assert asyncio.all_tasks() == before


# --- TLS, and who is let in ---------------------------------------------------------------------


async def test_tls_with_a_user_and_a_password(redis_tls: TlsServer) -> None:
    async with opened(redis_tls.url) as topology:
        assert b"user=app" in await topology.call("k", "CLIENT", "INFO")


async def test_a_certificate_of_a_client_is_shown(redis_tls: TlsServer) -> None:
    own = f"&ssl_certfile={redis_tls.client_certificate}&ssl_keyfile={redis_tls.client_key}"
    async with opened(redis_tls.url + own) as topology:
        assert await topology.call("k", "PING") == b"PONG"


def told(error: BaseException) -> str:
    """Everything that a log would have of it."""
    return "".join(traceback.format_exception(error)) + repr(error)


def failures(server: TlsServer) -> dict[str, str]:
    """URLs that cannot work, with a word that the error must hold."""
    password = quote(server.password, safe="")
    host, ca = f"127.0.0.1:{server.port}", f"ssl_ca_certs={server.ca_file}"
    return {
        f"rediss://app:{password}wrong@{host}?{ca}": "WRONGPASS",
        f"rediss://other:{password}@{host}?{ca}": "WRONGPASS",
        f"rediss://{host}?{ca}": "NOAUTH",
        f"rediss://app:{password}@{host}": "certificate is not accepted",
        f"rediss://app:{password}@no-such-host.invalid?{ca}": "no-such-host.invalid",
        f"rediss://app:{password}@127.0.0.1:1?{ca}": "Connection refused",
        f"redis://app:{password}@{host}": str(server.port),
        f"rediss://app:{password}@{host}/99?{ca}": "fewer databases",
    }


@pytest.mark.parametrize("which", range(8))
async def test_no_failure_to_connect_shows_the_password(
    redis_tls: TlsServer, which: int, caplog: pytest.LogCaptureFixture
) -> None:
    url, word = list(failures(redis_tls).items())[which]
    caplog.set_level("DEBUG")
    topology = topology_of(options_of(url, timeout=1))
    with pytest.raises(TransportError) as caught:
        await topology.open()
    shown = told(caught.value) + caplog.text + repr(topology) + repr(options_of(url))
    assert word in shown
    for secret in (redis_tls.password, quote(redis_tls.password, safe="")):
        assert secret not in shown


async def test_a_server_without_auth_does_not_tell_the_password() -> None:
    """It repeats the arguments of a command that it does not know."""
    with RedisServer(config=['rename-command AUTH ""']) as server:
        topology = topology_of(options_of(f"redis://me:hush-hush@127.0.0.1:{server.port}"))
        with pytest.raises(NotSent, match="unknown command") as caught:
            await topology.open()
    assert "hush" not in told(caught.value)


async def test_tls_to_a_server_without_it_says_so(redis_server: RedisServer) -> None:
    topology = topology_of(options_of(f"rediss://127.0.0.1:{redis_server.port}", timeout=1))
    with pytest.raises(NotSent, match=f"127.0.0.1:{redis_server.port}"):
        await topology.open()


@pytest.mark.parametrize("turns", range(8))
async def test_what_was_written_is_unanswered_however_it_is_closed(
    own_redis: RedisServer, turns: int
) -> None:
    """The server ends, and some turns of the loop later, while that is noticed, it is closed."""
    topology = topology_of(options_of(own_redis.url))
    await topology.open()
    with warnings.catch_warnings(record=True) as leaks:
        warnings.simplefilter("always")
        begun = topology.begin("k", "BLPOP", "k", 0)
        await written(topology, begun)
        own_redis.kill()
        for _ in range(turns):
            await asyncio.sleep(0)
        await topology.close()
        with pytest.raises(Unanswered):
            await begun
        del topology
        gc.collect()
    assert not [each for each in leaks if issubclass(each.category, ResourceWarning)]
