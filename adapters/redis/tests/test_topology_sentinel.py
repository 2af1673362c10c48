"""A master that moves: the connection follows it, by the word of the Sentinels."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from redis.asyncio import Sentinel

from busway.errors import TransportError
from busway_redis._client import options_of
from busway_redis._dial import Dialer
from busway_redis._errors import NotSent
from busway_redis._options import Node
from busway_redis._sentinel import _Finder
from busway_redis._topology import Topology, topology_of
from tests.servers import RedisSentinel, RedisServer
from tests.servers.plugin import started_or_skip

from .opening import opened

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def sentinel() -> Iterator[RedisSentinel]:
    with started_or_skip(RedisSentinel) as servers:
        yield servers


async def port_of(topology: Topology) -> int:
    answer = await topology.call("k", "CONFIG", "GET", "port")
    return int(answer[1])


async def test_the_master_is_found(sentinel: RedisSentinel) -> None:
    async with opened(sentinel.url) as topology:
        assert await port_of(topology) == sentinel.master.port
        assert not topology.one_slot


async def test_the_master_is_found_by_what_a_client_was_configured_with(
    sentinel: RedisSentinel,
) -> None:
    addresses = [("127.0.0.1", each.port) for each in sentinel.sentinels]
    client = Sentinel(addresses).master_for(sentinel.service)
    async with opened(client) as topology:
        assert await port_of(topology) == sentinel.master.port


async def test_one_sentinel_that_answers_is_enough(sentinel: RedisSentinel) -> None:
    first, second, third = sentinel.sentinels
    url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{third.port}/{sentinel.service}/0"
    async with opened(url) as topology:
        assert await port_of(topology) == sentinel.master.port
    master = sentinel.master
    first.pause()
    second.pause()
    try:
        async with opened(sentinel.url, timeout=5) as topology:
            assert await port_of(topology) == master.port
    finally:
        first.resume()
        second.resume()
        await asyncio.to_thread(sentinel.wait_until_settled)


async def test_a_service_that_nobody_knows_is_named_at_once(sentinel: RedisSentinel) -> None:
    url = sentinel.url.replace("/busway/", "/other/")
    with pytest.raises(NotSent, match="it knows no service 'other'") as caught:
        await topology_of(options_of(url)).open()
    assert not caught.value.retryable


async def test_no_sentinel_that_answers_is_said_with_all_of_them() -> None:
    url = "redis+sentinel://127.0.0.1:1,127.0.0.1:2/main/0"
    with pytest.raises(NotSent, match=r"Sentinel 127.0.0.1:(1|2): no connection") as caught:
        await topology_of(options_of(url, timeout=0.3)).open()
    assert caught.value.retryable


async def test_a_sentinel_that_names_a_replica_is_not_believed(sentinel: RedisSentinel) -> None:
    """It learns of a failover later than the servers do."""
    with RedisServer() as server:
        server.command("REPLICAOF", "127.0.0.1", sentinel.master.port)
        options = options_of(sentinel.url)
        finder = _Finder(Dialer(options), options)

        async def says() -> Node:
            return Node("127.0.0.1", server.port)

        finder._master = says  # type: ignore[method-assign]
        with pytest.raises(NotSent, match="which is a slave: a failover is going on"):
            await finder.connect()


async def test_commands_and_readers_follow_the_master(sentinel: RedisSentinel) -> None:
    async with opened(sentinel.url, timeout=15) as topology:
        reader = topology.reader("k")
        assert await reader.call("PING") == b"PONG"
        before = sentinel.master
        await asyncio.to_thread(sentinel.failover)
        assert await until_answered(topology, "SET", "k", "1") == b"OK"
        assert await port_of(topology) == sentinel.master.port != before.port
        await until_answered(reader, "SET", "k", "2")
        assert b"tcp_port:%d\r" % sentinel.master.port in await reader.call("INFO", "server")
        await reader.close()


async def test_a_killed_master_is_replaced_within_the_deadline_of_a_call(
    sentinel: RedisSentinel,
) -> None:
    async with opened(sentinel.url, timeout=19) as topology:
        assert await port_of(topology) == sentinel.master.port
        before = sentinel.master
        before.kill()
        try:
            assert await until_answered(topology, "SET", "k", "1") == b"OK"
            assert await port_of(topology) != before.port
        finally:
            before.start()
            await asyncio.to_thread(sentinel.wait_until_settled)


async def until_answered(who: Any, *command: str) -> Any:
    """As the core does it: what may be tried again is."""
    if not hasattr(who, "one_slot"):
        call = who.call
    else:

        async def call(*command: str) -> Any:
            return await who.call("k", *command)

    while True:
        try:
            return await call(*command)
        except TransportError as error:
            if not error.retryable:
                raise
