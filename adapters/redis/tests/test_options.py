"""URLs and clients as options: what is understood, what is refused, and that nothing is shown."""

from __future__ import annotations

import ssl
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.asyncio import Redis, RedisCluster, Sentinel, SSLConnection
from redis.asyncio.connection import Connection, ConnectionPool, UnixDomainSocketConnection
from redis.credentials import UsernamePasswordCredentialProvider
from rich.console import Console

from busway.errors import OptionError
from busway.transport.options import Secret
from busway_redis._client import options_of
from busway_redis._dial import Dialer
from busway_redis._options import OWN, Node, Options
from busway_redis._url import CLIENT, SCHEMES, options_from_url

SECRET = "p@ss/w:rd?#%&é"
ESCAPED = "p%40ss%2Fw%3Ard%3F%23%25%26%C3%A9"


def test_a_host_a_port_and_a_database() -> None:
    options = options_from_url("redis://example.org:7000/3")
    assert options.nodes == (Node("example.org", 7000),)
    assert (options.database, options.topology, options.tls) == (3, "single", False)


@pytest.mark.parametrize("url", ["redis://", "redis:///", "redis://localhost", "REDIS://:6379/0"])
def test_what_is_left_out_is_the_server_of_this_machine(url: str) -> None:
    options = options_from_url(url)
    assert (options.nodes, options.database) == ((Node("localhost", 6379),), 0)
    assert (options.user, options.password, options.path) == (None, None, None)


def test_the_own_options_have_these_defaults() -> None:
    options = options_from_url("redis://")
    assert (options.prefix, options.lease, options.shards, options.wait) == ("busway", 60.0, 1, 0)
    assert (options.retention, options.max_length, options.on_full) == (None, None, "refuse")
    assert (options.timeout, options.on_unknown, options.allow_eviction) == (10.0, "raise", False)


def test_the_own_options_are_parameters() -> None:
    options = options_from_url(
        "redis://h?prefix=shop&lease=5m&shards=4&max_length=1000&on_full=drop_oldest"
        "&allow_eviction=1&wait=2&timeout=500ms&on_unknown=resend"
    )
    assert (options.prefix, options.lease, options.shards, options.wait) == ("shop", 300.0, 4, 2)
    assert (options.max_length, options.on_full) == (1000, "drop_oldest")
    assert (options.timeout, options.on_unknown, options.allow_eviction) == (0.5, "resend", True)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("60s", 60.0), ("5m", 300.0), ("12h", 43200.0), ("7d", 604800.0), ("1.5", 1.5), (30, 30.0)],
)
def test_a_time_is_seconds_or_has_a_unit(given: Any, seconds: float) -> None:
    assert options_of("redis://", retention=given).retention == seconds


def test_a_time_may_be_a_timedelta() -> None:
    assert options_of("redis://", lease=timedelta(minutes=2)).lease == 120.0


def test_the_timeout_follows_a_short_lease() -> None:
    options = options_from_url("redis://?lease=2s")
    assert options.timeout == 0.5
    assert options_of(options, lease=8).timeout == 2.0
    assert options_of(options, lease=8, timeout=1).timeout == 1.0


def test_user_and_password_are_percent_encoded() -> None:
    options = options_from_url(f"redis://m%40x:{ESCAPED}@h/0")
    assert (options.user, options.password) == ("m@x", Secret(SECRET))


def test_user_password_and_database_may_be_parameters() -> None:
    options = options_from_url(f"redis://h?db=2&username=me&password={ESCAPED}")
    assert (options.database, options.user, options.password) == (2, "me", Secret(SECRET))


def test_a_unix_socket_is_a_path() -> None:
    options = options_from_url("unix://me:pw@/run/my%20redis.sock?db=2&lease=9")
    assert (options.path, options.database, options.user) == ("/run/my redis.sock", 2, "me")
    assert (options.password, options.lease) == (Secret("pw"), 9.0)


def test_sentinels_a_service_and_a_database() -> None:
    options = options_from_url("redis+sentinel://h1,h2:7,[::1]:8/main/3?sentinel_password=s")
    assert options.nodes == (Node("h1", 26379), Node("h2", 7), Node("::1", 8))
    assert (options.topology, options.service, options.database) == ("sentinel", "main", 3)
    assert options.sentinel_password == Secret("s")
    assert options.where == "redis+sentinel://h1:26379,h2:7,[::1]:8/main/3"


def test_nodes_of_a_cluster() -> None:
    options = options_from_url("rediss+cluster://u:p@h1,h2:7")
    assert (options.topology, options.tls) == ("cluster", True)
    assert options.nodes == (Node("h1", 6379), Node("h2", 7))


def test_pubsub_is_told_by_the_scheme() -> None:
    assert options_from_url("redis+pubsub://h?prefix=live").pubsub
    assert options_from_url("redis+cluster+pubsub://h").topology == "cluster"
    assert not options_from_url("redis://h").pubsub


def test_options_of_the_client_and_of_tls_are_parameters() -> None:
    options = options_from_url(
        "rediss://h?client_name=shop&socket_keepalive=0&socket_connect_timeout=2&ssl_min_version=1.3"
        "&ssl_cert_reqs=none&ssl_check_hostname=no&ssl_exclude_verify_flags=VERIFY_X509_STRICT"
    )
    assert options.client == {
        "client_name": "shop",
        "socket_keepalive": False,
        "socket_connect_timeout": 2.0,
        "ssl_min_version": ssl.TLSVersion.TLSv1_3,
        "ssl_cert_reqs": "none",
        "ssl_check_hostname": False,
        "ssl_exclude_verify_flags": [ssl.VerifyFlags.VERIFY_X509_STRICT],
    }
    Dialer(options)


def test_an_unknown_parameter_is_refused_and_the_known_are_listed() -> None:
    with pytest.raises(OptionError) as caught:
        options_from_url("redis://h?leese=5")
    assert "leese" in str(caught.value)
    for known in (*OWN, *CLIENT, "db", "username", "password"):
        assert known in str(caught.value)


def test_what_the_adapter_sets_itself_is_refused_with_the_reason() -> None:
    with pytest.raises(OptionError, match="socket_timeout= is set by the adapter: see timeout="):
        options_from_url("redis://h?socket_timeout=5")


def test_what_keeps_events_means_nothing_to_pubsub() -> None:
    with pytest.raises(OptionError, match=r"unknown parameter lease=; known: .*prefix"):
        options_from_url("redis+pubsub://h?lease=5")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://h?lease=soon", "lease='soon': it takes seconds, or 500ms"),
        ("redis://h?lease=0", "lease='0'"),
        ("redis://h?lease=10ms", "it takes 0.1 s or more"),
        ("redis://h?lease=-5", "lease='-5'"),
        ("redis://h?shards=0", "shards='0': it takes a whole number of 1 or more"),
        ("redis://h?shards=two", "a whole number"),
        ("redis://h?wait=-1", "a whole number of 0 or more"),
        ("redis://h?on_full=wait", "it takes refuse or drop_oldest"),
        ("redis://h?on_full=drop_oldest", "it takes max_length= too"),
        ("redis://h?allow_eviction=maybe", "it takes 1 or 0"),
        ("redis://h?prefix=", "a text that is not empty"),
        ("redis://h?retention=7d&max_length=5", "one of them, not both"),
        ("redis://h?lease=6&timeout=2", "less than a third of the lease"),
        ("redis://h?lease=6&lease=7", "lease= stands there twice"),
        ("redis://h?ssl_ca_certs=/ca.pem", "ssl_ca_certs= is for TLS: rediss://"),
        ("redis://h?sentinel_password=x", "unknown parameter"),
        ("rediss://h?ssl_cert_reqs=some", "required or optional or none"),
        ("rediss://h?ssl_min_version=1.0", "it takes 1.2 or 1.3"),
        ("rediss://h?ssl_include_verify_flags=NONE", "VERIFY_X509_STRICT"),
        ("redis://h:port", "no number from 1 to 65535"),
        ("redis://h:0", "no number from 1 to 65535"),
        ("redis://h/zero", "the number of a database: /0"),
        ("redis://h1,h2", "several hosts"),
        ("redis+sentinel://h", "names the service"),
        ("redis+cluster://h/1", "database 0 only"),
        ("unix://host/path", "unix:///run/redis.sock"),
        ("unix://", "unix:///run/redis.sock"),
        ("redis+tls://h", "redis://"),
        ("redis:h", "redis://"),
    ],
)
def test_what_cannot_be_meant_is_refused(url: str, why: str) -> None:
    with pytest.raises(OptionError) as caught:
        options_from_url(url)
    assert why in str(caught.value)


def test_options_given_beside_a_url_count_before_it() -> None:
    assert options_of("redis://h?shards=2", shards=4).shards == 4
    with pytest.raises(OptionError, match=r"unknown option chards=; known: .*shards"):
        options_of("redis://h", chards=4)


@pytest.mark.parametrize("number", [True, 1.5, None])
def test_a_number_from_code_must_be_one(number: object) -> None:
    with pytest.raises(OptionError, match="a whole number"):
        options_of("redis://h", shards=number)


# --- secrets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_way_to_show_options_shows_a_password(scheme: str) -> None:
    place = "/run/redis.sock" if scheme.startswith("unix") else "h/busway/0"
    place = (
        "h" if "cluster" in scheme else place if "+s" in scheme else place.replace("busway/", "")
    )
    options = options_from_url(f"{scheme}://me:hush-hush@{place}")
    screen = StringIO()
    Console(file=screen, width=200).print(options, options.password)
    shown = [repr(options), str(options), f"{options}", options.where, screen.getvalue()]
    assert options.password == Secret("hush-hush")
    assert not [each for each in shown if "hush" in each or "me:" in each]


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:hush/hush@h:6379/0",
        "redis://me:hush?hush@h:6379/0",
        "redis://me:hush?hush=1&hush@h:6379/0",
        "redis://me:hush#hush@h:6379/0",
        "redis://me:hush@hush@h:port/0",
        "redis://me:hush@h:port/0",
        "redis://me:hush@h:6379/zero",
        "redis://me:hush@h?leese=3",
        "redis://me:hush:6379",
        "redis://h?password=a&hush=2",
        "rediss://h?ssl_password=hush&lease=x",
        "hush",
        "hush://hush",
        "redis:/me:hush@h",
    ],
)
def test_no_error_about_a_url_shows_a_password(url: str) -> None:
    with pytest.raises(OptionError) as caught:
        options_from_url(url)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


# --- clients ------------------------------------------------------------------------------------


def test_a_client_is_taken_apart() -> None:
    client = Redis(
        host="h", port=7, db=2, username="me", password="pw", client_name="shop", protocol=3,
        decode_responses=True, socket_timeout=3, max_connections=9,
    )  # fmt: skip
    options = options_of(client, lease="30s")
    assert (options.nodes, options.database) == ((Node("h", 7),), 2)
    assert (options.user, options.password, options.lease) == ("me", Secret("pw"), 30.0)
    assert options.client["client_name"] == "shop"
    assert not options.tls
    assert options.client.keys().isdisjoint({"protocol", "decode_responses", "socket_timeout"})
    Dialer(options)


def test_a_client_made_from_a_url_is_taken_apart() -> None:
    options = options_of(Redis.from_url(f"redis://me:{ESCAPED}@h:7/2"))
    assert (options.nodes, options.database) == ((Node("h", 7),), 2)
    assert options.password == Secret(SECRET)


def test_a_client_with_tls_is_taken_apart(tmp_path: Path) -> None:
    own = {"ssl_ca_certs": str(tmp_path / "ca"), "ssl_password": "hush"}
    pool = ConnectionPool(connection_class=SSLConnection, host="h", **own)
    options = options_of(Redis(connection_pool=pool))
    assert options.tls
    assert options.client["ssl_ca_certs"] == str(tmp_path / "ca")
    assert options.client["ssl_password"] == Secret("hush")


def test_a_client_made_with_tls_has_tls() -> None:
    assert options_of(Redis(host="h", ssl=True)).tls


def test_a_client_on_a_unix_socket_is_taken_apart() -> None:
    assert options_of(Redis(unix_socket_path="/run/redis.sock", db=1)).path == "/run/redis.sock"


def test_a_credential_provider_is_taken_over() -> None:
    provider = UsernamePasswordCredentialProvider("me", "pw")
    options = options_of(Redis(credential_provider=provider))
    assert options.client["credential_provider"] is provider
    assert (options.user, options.password) == (None, None)


def test_the_master_of_sentinels_is_taken_apart() -> None:
    sentinels = Sentinel(
        [("h1", 1), ("h2", 2)], sentinel_kwargs={"password": "sp"}, password="pw", db=3
    )
    options = options_of(sentinels.master_for("main"))
    assert options.nodes == (Node("h1", 1), Node("h2", 2))
    assert (options.topology, options.service, options.database) == ("sentinel", "main", 3)
    assert (options.password, options.sentinel_password) == (Secret("pw"), Secret("sp"))
    assert (options.tls, options.sentinel_tls) == (False, False)


def test_a_client_of_a_cluster_is_taken_apart() -> None:
    client = RedisCluster(host="127.0.0.1", port=7, username="me", password="pw", ssl=True)
    options = options_of(client)
    assert (options.topology, options.nodes) == ("cluster", (Node("127.0.0.1", 7),))
    assert (options.user, options.password, options.tls) == ("me", Secret("pw"), True)


class _Own(Connection):
    pass


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (lambda: Sentinel([("h", 1)]), "sentinel.master_for(service)"),
        (lambda: Sentinel([("h", 1)]).slave_for("main"), "replicas take no events"),
        (lambda: redis.Redis(), "a client of redis.asyncio"),
        (lambda: 42, "int: it takes a URL, Options, or a client of redis.asyncio"),
        (lambda: Redis(connection_pool=ConnectionPool(connection_class=_Own)), "_Own"),
    ],
)
def test_what_cannot_be_taken_apart_is_refused(given: Any, why: str) -> None:
    with pytest.raises(OptionError) as caught:
        options_of(given())
    assert why in str(caught.value)


# --- connections --------------------------------------------------------------------------------


def test_what_the_client_does_not_take_is_refused_before_anything_is_connected() -> None:
    with pytest.raises(OptionError, match="the client does not take it"):
        Dialer(Options(client={"no_such_option": 1}))


def test_a_file_of_tls_that_is_not_there_is_named() -> None:
    with pytest.raises(OptionError, match=r"No such file.*ssl_ca_certs=/no/such"):
        Dialer(options_from_url("rediss://h?ssl_ca_certs=/no/such"))


def test_connections_are_raw_ones_that_send_nothing_twice() -> None:
    dialer = Dialer(options_from_url("rediss://h?socket_connect_timeout=3&client_name=shop"))
    for kind in (Connection, SSLConnection, UnixDomainSocketConnection):
        made = dialer._made(kind, {})
        assert (made.protocol, made.socket_timeout, made.retry.get_retries()) == (2, None, 0)
        assert (made.socket_connect_timeout, made.client_name) == (3.0, "shop")
        assert not made.encoder.decode_responses
