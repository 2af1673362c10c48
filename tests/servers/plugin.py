"""The servers as fixtures, and what a run says when there were none.

A test that asks for a server where none can be started is skipped, and the run ends with a list of
such tests. With ``CI=true`` the run has failed then: on a machine that is there for nothing else, a
missing server is a mistake. The list is also added to the file BUSWAY_NOT_TESTED.

The fixtures of the session are shared: use keys of your own, and leave the servers as they were.
``own_redis`` and ``own_kafka`` are for a single test, to be killed and restarted.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.servers import (
    GuardedKafka,
    KafkaCluster,
    KafkaServer,
    NoServer,
    OldestRedis,
    RedisCluster,
    RedisSentinel,
    RedisServer,
    TlsServer,
)

__all__ = [
    "kafka_cluster",
    "kafka_guarded",
    "kafka_server",
    "kafka_url",
    "oldest_redis",
    "own_kafka",
    "own_redis",
    "pytest_runtest_logreport",
    "pytest_sessionfinish",
    "pytest_sessionstart",
    "pytest_terminal_summary",
    "redis_cluster",
    "redis_sentinel",
    "redis_server",
    "redis_tls",
    "redis_url",
    "started_or_skip",
]

REASON = "no server to test with: "
HOW = (
    "Install redis-server, and Java 17 and Maven for Kafka (make test does it as root where there",
    "is apt-get), or start Docker; tests that need no server of their own also run with",
    "BUSWAY_TEST_REDIS_URL and BUSWAY_TEST_KAFKA_URL. The page of examples/24_live_feed.py needs",
    "chromium and chromium-driver.",
)

MOCK = (
    "Of Kafka, all that was tested is what librdkafka's mock broker can do:",
    "adapters/kafka/tests/test_mock_broker.py. No promise of docs/semantics.md was.",
)

_not_run: dict[str, str] = {}


T = TypeVar("T")


@contextmanager
def started_or_skip(make: Callable[[], AbstractContextManager[T]]) -> Generator[T]:
    """A server for a block. The test is skipped when it cannot be started for want of a program."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(make())
        except NoServer as error:
            pytest.skip(f"{REASON}{error}")
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis for the whole run."""
    with started_or_skip(RedisServer) as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest) -> str:
    """Of the server that BUSWAY_TEST_REDIS_URL names, or of the run's own."""
    named = os.environ.get("BUSWAY_TEST_REDIS_URL")
    if named:
        return named
    server = request.getfixturevalue("redis_server")
    assert isinstance(server, RedisServer)
    return server.url


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis for this test alone."""
    with started_or_skip(RedisServer) as server:
        yield server


@pytest.fixture(scope="session")
def oldest_redis() -> Iterator[OldestRedis]:
    """The oldest that is supported."""
    with started_or_skip(OldestRedis) as server:
        yield server


@pytest.fixture(scope="session")
def redis_sentinel() -> Iterator[RedisSentinel]:
    """A master, two replicas and three Sentinels."""
    with started_or_skip(RedisSentinel) as servers:
        yield servers


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """Six servers."""
    with started_or_skip(RedisCluster) as servers:
        yield servers


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[KafkaServer]:
    """One Kafka for the whole run."""
    with started_or_skip(KafkaServer) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_url(request: pytest.FixtureRequest) -> str:
    """Of the cluster that BUSWAY_TEST_KAFKA_URL names, or of the run's own server."""
    named = os.environ.get("BUSWAY_TEST_KAFKA_URL")
    if named:
        return named
    server = request.getfixturevalue("kafka_server")
    assert isinstance(server, KafkaServer)
    return server.url


@pytest.fixture
def own_kafka() -> Iterator[KafkaServer]:
    """A Kafka for this test alone."""
    with started_or_skip(KafkaServer) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_cluster() -> Iterator[KafkaCluster]:
    """Three Kafkas that are one."""
    with started_or_skip(KafkaCluster) as servers:
        yield servers


@pytest.fixture(scope="session")
def kafka_guarded() -> Iterator[GuardedKafka]:
    """A Kafka with TLS, SASL and an ACL."""
    with started_or_skip(GuardedKafka) as server:
        yield server


@pytest.fixture(scope="session")
def redis_tls() -> Iterator[TlsServer]:
    """A Redis with TLS and an ACL."""
    with started_or_skip(TlsServer) as server:
        yield server


def pytest_sessionstart() -> None:
    _not_run.clear()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        _, begin, reason = str(report.longrepr[2]).partition(REASON)
        if begin:
            _not_run[report.nodeid] = reason


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _not_run and in_ci() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


# Behind everything else that is printed, so that it is what is read.
@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _not_run:
        return
    terminalreporter.section("NOT TESTED", sep="!", red=True, bold=True)
    for line in told():
        terminalreporter.line(line, red=True)
    if "BUSWAY_NOT_TESTED" in os.environ:
        text = "".join(f"{line}\n" for line in told())
        with Path(os.environ["BUSWAY_NOT_TESTED"]).open("a") as file:
            file.write(text)


def told() -> Iterator[str]:
    many = len(_not_run)
    yield f"{many} test{'s were' if many > 1 else ' was'} not run for want of a server:"
    for reason in sorted(set(_not_run.values())):
        yield f"- {reason}"
    files = Counter(node.partition("::")[0] for node in _not_run)
    for file, count in sorted(files.items()):
        yield f"    {file}: {count}"
    if any("kafka" in node for node in _not_run):
        yield from MOCK
    yield from HOW
    if in_ci():
        yield "CI=true, so this run has failed."


def in_ci() -> bool:
    return os.environ.get("CI") == "true"
