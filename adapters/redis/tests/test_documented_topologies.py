"""The users that the documentation tells an operator to make, on a cluster and behind Sentinels."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import anyio
import pytest

from busway import Bus, TransportError
from tests.servers import RedisCluster, RedisSentinel
from tests.servers.plugin import started_or_skip

from .test_documented import PATIENCE, PRODUCTION, a_bus_does_all, noting

pytestmark = pytest.mark.anyio

RULES = [words for words in PRODUCTION if words[:2] == ["ACL", "SETUSER"]]


@pytest.fixture(scope="module")
def guarded_cluster() -> Iterator[str]:
    with started_or_skip(RedisCluster) as servers:
        for server in servers.servers:
            for words in RULES:
                assert server.command(*words, "+cluster|slots", "+asking") == "OK", words
        yield servers.url


@pytest.fixture(scope="module")
def guarded_sentinel() -> Iterator[str]:
    with started_or_skip(RedisSentinel) as servers:
        for server in servers.servers:
            for words in RULES:
                assert server.command(*words, "+role") == "OK", words
        yield servers.url


@pytest.fixture(params=["cluster", "sentinel"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(f"guarded_{request.param}")
    return found


def by(user: str, url: str, *, live: bool = False) -> str:
    """The URL with a user and the password that the page gives it."""
    (rule,) = (words for words in RULES if words[2] == user)
    password = next(word[1:] for word in rule if word.startswith(">"))
    scheme, rest = url.split("://")
    return f"{scheme}{'+pubsub' * live}://{user}:{quote(password, safe='')}@{rest}"


@pytest.mark.parametrize("shards", [1, 4])
async def test_a_worker_may_do_all_that_a_bus_does(url: str, shards: int) -> None:
    options = f"?prefix=busway:w{shards}&shards={shards}&wait=1&retention=1h"
    await a_bus_does_all(by("worker", url) + options)


@pytest.mark.parametrize(
    "options", ["", "&max_length=1000", "&max_length=1000&on_full=drop_oldest", "&wait=1"]
)
async def test_a_publisher_publishes_and_cannot_read(url: str, options: str) -> None:
    where = f"{by('publisher', url)}?prefix=busway:p{options}"
    with anyio.fail_after(PATIENCE):
        async with Bus(where, service="web", publish_only=True) as bus:
            await bus.publish("order.placed", 1)
            await bus.publish("order.placed", 2, delay=60)
        reading = Bus(where, service="web")
        reading.add(noting, "order.*")
        with pytest.raises(TransportError, match="NOPERM"):
            await reading.start()


async def test_a_watcher_sees_what_is_live(url: str) -> None:
    bus, seen = Bus(by("watcher", url, live=True), service="dashboard"), anyio.Event()

    @bus.subscribe("order.*", broadcast=True)
    async def show(order: int) -> int:
        seen.set()
        return order

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("order.placed", 1)
            await seen.wait()
            assert await bus.request("order.asked", 4) == 4


async def test_who_lacks_what_a_cluster_needs_is_told(guarded_cluster: str) -> None:
    """The page names it beside the rules of all servers."""
    with started_or_skip(RedisCluster) as bare:
        for server in bare.servers:
            for words in RULES:
                server.command(*words)
        with pytest.raises(TransportError, match="NOPERM"):
            async with Bus(by("worker", bare.url), service="shop", publish_only=True):
                pass
