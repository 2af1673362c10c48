"""Sentinel, Cluster, and TLS with an ACL, as fixtures."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import pytest

from tests.servers import ErrorReply, RedisCluster, RedisSentinel, TlsServer
from tests.servers.plugin import started_or_skip

# They start several servers, and wait for what these agree about.
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def sentinel() -> Iterator[RedisSentinel]:
    with started_or_skip(RedisSentinel) as servers:
        yield servers


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with started_or_skip(RedisCluster) as servers:
        yield servers


def test_a_failover_moves_the_master_and_keeps_what_was_copied(sentinel: RedisSentinel) -> None:
    before = sentinel.master
    before.command("SET", "key", "value")
    assert before.command("WAIT", 2, 5000) == 2
    after = sentinel.failover()
    assert after is sentinel.master
    assert after is not before
    assert after.command("GET", "key") == "value"
    with pytest.raises(ErrorReply, match="READONLY"):
        before.command("SET", "key", "other")


def test_a_master_that_is_killed_is_replaced_and_comes_back_as_a_replica(
    sentinel: RedisSentinel,
) -> None:
    before = sentinel.master
    before.kill()
    after = sentinel.wait_for_other_master(before)
    assert after.info("replication")["role"] == "master"
    before.start()
    sentinel.wait_until_settled()
    assert before.info("replication")["role"] == "slave"
    assert before in sentinel.replicas


def test_the_url_names_every_sentinel_and_the_service(sentinel: RedisSentinel) -> None:
    ports = ",".join(f"127.0.0.1:{each.port}" for each in sentinel.sentinels)
    assert sentinel.url == f"redis+sentinel://{ports}/busway/0"
    assert ports.count(",") == 2


def test_a_cluster_serves_every_slot_from_three_masters(cluster: RedisCluster) -> None:
    masters = {cluster.master_of(slot).port for slot in range(0, 16_384, 500)}
    assert len(masters) == 3
    assert {cluster.replica_of(each).port for each in cluster.servers if each.port in masters} == {
        each.port for each in cluster.servers
    } - masters


def test_a_cluster_fails_over_in_good_order(cluster: RedisCluster) -> None:
    slot = cluster.slot_of("key")
    before = cluster.master_of(slot)
    after = cluster.failover(slot)
    assert cluster.master_of(slot) is after
    assert after is not before


def test_a_master_of_a_cluster_that_is_killed_is_replaced(cluster: RedisCluster) -> None:
    slot = cluster.slot_of("key")
    before = cluster.master_of(slot)
    before.kill()
    cluster.wait_until_whole()
    assert cluster.master_of(slot) is not before
    before.start()
    cluster.wait_until_whole()
    assert cluster.replica_of(cluster.master_of(slot)) is before


def test_a_slot_moves_with_its_keys_by_way_of_ask(cluster: RedisCluster) -> None:
    slot = cluster.slot_of("moving")
    source = cluster.master_of(slot)
    target = cluster.master_of((slot + 6_000) % 16_384)
    assert source is not target
    source.command("SET", "moving", "value")
    cluster.begin_migration(slot, target)
    assert cluster.move_keys(slot, target) == 1
    with pytest.raises(ErrorReply, match=f"ASK {slot} 127.0.0.1:{target.port}"):
        source.command("GET", "moving")
    cluster.end_migration(slot, target)
    with pytest.raises(ErrorReply, match=f"MOVED {slot} 127.0.0.1:{target.port}"):
        source.command("GET", "moving")
    assert target.command("GET", "moving") == "value"


def test_nobody_enters_without_tls(redis_tls: TlsServer) -> None:
    with socket.create_connection(("127.0.0.1", redis_tls.port), 5) as stream:
        stream.sendall(b"PING\r\n")
        try:
            answer = stream.recv(100)
        except ConnectionResetError:
            answer = b""
        assert b"PONG" not in answer


def test_nobody_enters_without_a_password(redis_tls: TlsServer) -> None:
    with redis_tls.connect(who=None) as connection, pytest.raises(ErrorReply, match="NOAUTH"):
        connection.command("PING")


def test_its_url_holds_a_password_that_has_to_be_escaped(redis_tls: TlsServer) -> None:
    parts = urlsplit(redis_tls.url)
    assert (parts.scheme, parts.port, parts.path) == ("rediss", redis_tls.port, "/0")
    assert (parts.username, unquote(str(parts.password))) == ("app", redis_tls.password)
    assert redis_tls.password not in redis_tls.url


def test_its_user_may_do_what_the_rules_say() -> None:
    with (
        started_or_skip(lambda: TlsServer(rules="~busway:* +@all")) as server,
        server.connect(who=server.user) as connection,
    ):
        assert connection.command("SET", "busway:key", 1) == "OK"
        with pytest.raises(ErrorReply, match="NOPERM"):
            connection.command("SET", "other", 1)
