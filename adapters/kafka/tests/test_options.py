"""URLs as options: what is understood, what is refused, and that nothing secret is shown."""

from __future__ import annotations

import logging
import ssl
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from aiokafka.abc import AbstractTokenProvider
from aiokafka.client import AIOKafkaClient
from rich.console import Console

from busway import OptionError
from busway.transport.options import Secret
from busway_kafka._options import OWN, Options
from busway_kafka._security import MECHANISMS, Security
from busway_kafka._url import CLIENT, SASL, SCHEMES, TLS, parse

SECRET = "p@ss/w:rd?#%&é"
ESCAPED = "p%40ss%2Fw%3Ard%3F%23%25%26%C3%A9"


class Tokens(AbstractTokenProvider):
    async def token(self) -> str:
        return "hush"


def test_hosts_with_and_without_a_port() -> None:
    options = parse("kafka://h1,h2:9093,[::1]:7,[::2]/")
    assert options.servers == ("h1:9092", "h2:9093", "[::1]:7", "[::2]:9092")
    assert options.where == "kafka://h1:9092,h2:9093,[::1]:7,[::2]:9092"


@pytest.mark.parametrize("url", ["kafka://", "kafka:///", "KAFKA://localhost", "kafka://:9092/?"])
def test_what_is_left_out_is_the_broker_of_this_machine(url: str) -> None:
    assert parse(url).servers == ("localhost:9092",)


def test_the_own_options_have_these_defaults() -> None:
    options = parse("kafka://")
    assert (options.prefix, options.follow, options.mode) == ("busway.", None, "structured")
    assert (options.create, options.partitions, options.replication) == ("auto", 4, None)
    assert (options.retention, options.compression, options.max_size) == (None, None, 1_000_000)
    assert (options.lease, options.timeout, options.drain) == (30.0, 7.5, 10.0)
    assert (options.metadata_age, options.window, options.instance) == (5.0, 10_000, None)
    assert options == Options()


def test_the_own_options_are_parameters() -> None:
    options = parse(
        "kafka://h?prefix=&follow=a.*&mode=binary&partitions=12&replication=3&retention=7d"
        "&create=never&compression=zstd&lease=1m&timeout=650ms&metadata_age=1&drain=5s&window=50"
        "&instance=pod-1&max_size=5000"
    )
    assert (options.prefix, options.follow, options.mode) == ("", "a.*", "binary")
    assert (options.create, options.partitions, options.replication) == ("never", 12, 3)
    assert (options.retention, options.compression) == (604_800.0, "zstd")
    assert (options.lease, options.timeout, options.drain) == (60.0, 0.65, 5.0)
    assert (options.metadata_age, options.window, options.instance) == (1.0, 50, "pod-1")
    assert options.max_size == 5_000


@pytest.mark.parametrize("given", ["none", None])
def test_no_compression_can_be_asked_for(given: Any) -> None:
    assert parse("kafka://h?compression=lz4", compression=given).compression is None


def test_options_given_beside_a_url_count_before_it() -> None:
    options = parse("kafka://h?partitions=2&lease=9", partitions=4, lease=timedelta(minutes=1))
    assert (options.partitions, options.lease, options.timeout) == (4, 60.0, 10.0)
    with pytest.raises(OptionError, match=r"unknown option chards=; known: .*partitions"):
        parse("kafka://h", chards=4)


# --- the client ---------------------------------------------------------------------------------


def test_the_client_is_made_with_what_was_said() -> None:
    options = parse("kafka://h1,h2:1?timeout=2&metadata_age=3&client_id=shop&retry_backoff_ms=50")
    assert options.client_options() == {
        "bootstrap_servers": ["h1:9092", "h2:1"],
        "client_id": "shop",
        "metadata_max_age_ms": 3_000,
        "request_timeout_ms": 2_000,
        "retry_backoff_ms": 50,
        "security_protocol": "PLAINTEXT",
    }


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("scheme", ["kafka+sasl", "kafka+sasl_ssl"])
def test_user_and_password_are_percent_encoded(scheme: str, mechanism: str) -> None:
    options = parse(f"{scheme}://m%40x:{ESCAPED}@h?sasl_mechanism={mechanism}")
    client = options.client_options()
    assert client["security_protocol"] == scheme.replace("kafka+", "").upper().replace(
        "SASL", "SASL" if "ssl" in scheme else "SASL_PLAINTEXT"
    )
    assert (client["sasl_mechanism"], client["sasl_plain_username"]) == (mechanism, "m@x")
    assert client["sasl_plain_password"] == SECRET


def test_user_and_password_may_be_parameters() -> None:
    options = parse(f"kafka+sasl://h?sasl_plain_username=me&sasl_plain_password={ESCAPED}")
    assert (options.security.user, options.security.password) == ("me", Secret(SECRET))
    assert options.security.mechanism == "PLAIN"


def test_a_token_provider_is_given_in_code() -> None:
    tokens = Tokens()
    options = parse("kafka+sasl_ssl://h?sasl_mechanism=OAUTHBEARER", token_provider=tokens)
    assert options.client_options()["sasl_oauth_token_provider"] is tokens
    with pytest.raises(OptionError, match=r"KafkaTransport\(url, token_provider="):
        parse("kafka+sasl_ssl://h?sasl_mechanism=OAUTHBEARER")


def test_kerberos_has_parameters_of_its_own() -> None:
    options = parse(
        "kafka+sasl://h?sasl_mechanism=GSSAPI&sasl_kerberos_service_name=k"
        "&sasl_kerberos_domain_name=d"
    )
    client = options.client_options()
    assert (client["sasl_kerberos_service_name"], client["sasl_kerberos_domain_name"]) == ("k", "d")


def test_tls_trusts_what_the_machine_trusts_and_checks_the_host() -> None:
    context = parse("kafka+ssl://h").client_options()["ssl_context"]
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_context_of_the_programs_own_counts_before_the_files() -> None:
    context = ssl.create_default_context()
    options = parse("kafka+ssl://h?ssl_cafile=/nowhere", ssl_context=context)
    assert options.client_options()["ssl_context"] is context


@pytest.mark.anyio
async def test_the_client_takes_what_it_is_given() -> None:
    for url in ("kafka://h", "kafka+ssl://h", "kafka+sasl://u:p@h", "kafka+sasl_ssl://u:p@h"):
        await AIOKafkaClient(**parse(url).client_options()).close()


# --- refusals -----------------------------------------------------------------------------------


def test_an_unknown_parameter_is_refused_and_the_known_are_listed() -> None:
    with pytest.raises(OptionError) as caught:
        parse("kafka://h?partitons=5")
    assert "partitons" in str(caught.value)
    for known in (*OWN, *CLIENT, *SASL, *TLS):
        assert known in str(caught.value)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("kafka://h?lease=soon", "lease='soon': it takes seconds, or 500ms"),
        ("kafka://h?lease=10ms", "it takes 0.1 s or more"),
        ("kafka://h?lease=30&timeout=10", "less than a third of the lease"),
        ("kafka://h?partitions=0", "partitions='0': it takes a whole number of 1 or more"),
        ("kafka://h?replication=0", "a whole number of 1 or more"),
        ("kafka://h?max_size=10", "a whole number of 1000 or more"),
        ("kafka://h?mode=json", "it takes structured or binary"),
        ("kafka://h?create=maybe", "it takes auto or never"),
        ("kafka://h?compression=brotli", "none or gzip or snappy or lz4 or zstd"),
        ("kafka://h?prefix=b%20c", "Kafka takes letters, digits"),
        ("kafka://h?follow=(", "no regular expression"),
        ("kafka://h?follow=", "a text that is not empty"),
        ("kafka://h?lease=6&lease=7", "lease= stands there twice"),
        ("kafka://h?request_timeout_ms=5", "request_timeout_ms= is set by the adapter: see time"),
        ("kafka://h?security_protocol=SSL", "the scheme says it"),
        ("kafka://h?ssl_context=x", "in code only"),
        ("kafka+sasl://h?sasl_oauth_token_provider=x", "in code only"),
        ("kafka://h?ssl_cafile=/ca.pem", "ssl_cafile= is for kafka+ssl://"),
        ("kafka+ssl://h?sasl_mechanism=PLAIN", "sasl_mechanism= is for kafka+sasl://"),
        ("kafka+sasl://u:p@h?sasl_mechanism=MAGIC", "it takes PLAIN or SCRAM-SHA-256"),
        ("kafka+sasl://u@h", "PLAIN takes a user and a password"),
        ("kafka+sasl_ssl://h?sasl_mechanism=SCRAM-SHA-512", "takes a user and a password"),
        ("kafka://u:p@h", "a user and a password are for kafka+sasl_ssl://"),
        ("kafka+ssl://u@h", "a user and a password are for kafka+sasl_ssl://"),
        ("kafka+ssl://h?ssl_keyfile=/k.pem", "take ssl_certfile= too"),
        ("kafka://h/orders", "nothing stands behind the hosts"),
        ("kafka://h:port", "no number from 1 to 65535"),
        ("kafka://h:0", "no number from 1 to 65535"),
        ("kafka://::1", "brackets"),
        ("kafkas://h", "kafka+sasl_ssl://"),
        ("kafka:h", "kafka://"),
    ],
)
def test_what_cannot_be_meant_is_refused(url: str, why: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse(url)
    assert why in str(caught.value)


def test_objects_are_refused_where_they_mean_nothing() -> None:
    with pytest.raises(OptionError, match="ssl_context= is for TLS"):
        parse("kafka+sasl://u:p@h", ssl_context=ssl.create_default_context())
    with pytest.raises(OptionError, match="token_provider= is for kafka"):
        parse("kafka://h", token_provider=Tokens())
    with pytest.raises(OptionError, match=r"no aiokafka\.abc\.AbstractTokenProvider"):
        Security(protocol="SASL_SSL", mechanism="OAUTHBEARER", token_provider=lambda: "t")  # type: ignore[arg-type]


def test_a_certificate_that_is_not_there_is_an_option_error(tmp_path: Path) -> None:
    for name in ("ssl_cafile", "ssl_certfile"):
        options = parse(f"kafka+ssl://h?{name}={tmp_path}/none.pem")
        with pytest.raises(OptionError, match="cannot be used"):
            options.client_options()


def test_options_without_a_server_are_refused() -> None:
    with pytest.raises(OptionError, match="no server"):
        Options(servers=())


# --- secrets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("scheme", [each for each in SCHEMES if "sasl" in each])
def test_no_way_to_show_options_shows_a_password(
    scheme: str, mechanism: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"{scheme}://me:hush-hush@h?sasl_mechanism={mechanism}"
    if "ssl" in scheme:
        url += "&ssl_certfile=/nowhere&ssl_password=hush-too"
    options = parse(url, token_provider=Tokens() if mechanism == "OAUTHBEARER" else None)
    security = options.security
    screen = StringIO()
    Console(file=screen, width=200).print(options, security, security.password)
    shown = [screen.getvalue(), options.where]
    shown += [show(each) for each in (options, security) for show in (repr, str, format)]
    if "ssl" in scheme:
        with pytest.raises(OptionError) as caught:
            options.client_options()
        shown.append(str(caught.value))
    assert security.password == Secret("hush-hush")
    assert not [each for each in [*shown, caplog.text] if "hush" in each or "me:" in each]


@pytest.mark.parametrize(
    "url",
    [
        "kafka+sasl://me:hush/hush@h:9092/",
        "kafka+sasl://me:hush?hush@h:9092/",
        "kafka+sasl://me:hush?hush=1&hush@h:9092/",
        "kafka+sasl://me:hush#hush@h:9092/",
        "kafka+sasl://me:hush@hush@h:port/",
        "kafka+sasl://me:hush@h:port/",
        "kafka+sasl://me:hush@h:9092/hush",
        "kafka+sasl://me:hush@h?leese=3",
        "kafka+sasl://me:hush@h?sasl_mechanism=x",
        "kafka+sasl://me:hush@h?sasl_mechanism=OAUTHBEARER",
        "kafka+sasl://me:hush:9092",
        "kafka+sasl://h?sasl_plain_password=a&hush=2",
        "kafka+sasl://h?sasl_plain_password=hush",
        "kafka+ssl://h?ssl_password=hush&lease=x",
        "kafka+ssl://h?ssl_password=hush",
        "kafka://me:hush@h",
        "kafka+ssl://me:hush@h",
        "hush",
        "hush://hush",
        "kafka:/me:hush@h",
    ],
)
def test_no_error_about_a_url_shows_a_password(url: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse(url)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
