"""What the documentation tells an operator to type does what it says."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from busway import Backoff, Bus, BuswayError, Message, Reject, Retry, StateError, TransportError
from busway_redis import RedisTransport
from busway_redis._options import OWN, PUBSUB
from busway_redis._url import CLIENT
from tests.servers import RedisServer, TlsServer
from tests.servers.plugin import started_or_skip

pytestmark = pytest.mark.anyio

DOCS = Path(__file__).resolve().parents[3] / "docs"
PATIENCE = 20.0


def lines_of(page: str) -> list[list[str]]:
    """The arguments of each redis-cli of a page."""
    text = (DOCS / page).read_text()
    return [shlex.split(line) for line in re.findall(r"^\$ redis-cli (.*)$", text, re.MULTILINE)]


PRODUCTION = lines_of("how-to/redis-in-production.md")


@pytest.fixture(scope="module")
def guarded() -> Iterator[TlsServer]:
    """A server with TLS and the users of the page."""
    with started_or_skip(TlsServer) as server:
        for words in PRODUCTION:
            if words[:2] == ["ACL", "SETUSER"]:
                assert server.command(*words) == "OK", words
        yield server


def url_of(server: TlsServer, user: str, scheme: str = "rediss", prefix: str = "busway") -> str:
    (rule,) = (words for words in PRODUCTION if words[:3] == ["ACL", "SETUSER", user])
    password = next(word[1:] for word in rule if word.startswith(">"))
    where = f"{user}:{quote(password, safe='')}@127.0.0.1:{server.port}"
    return f"{scheme}://{where}?ssl_ca_certs={server.ca_file}&prefix={prefix}"


@pytest.mark.parametrize("shards", [1, 4])
async def test_a_worker_may_do_all_that_a_bus_does(guarded: TlsServer, shards: int) -> None:
    await a_bus_does_all(url_of(guarded, "worker", prefix=f"busway:{shards}") + f"&shards={shards}")


async def a_bus_does_all(url: str) -> None:
    """What a user of a server needs to be allowed to do."""
    quick = Retry(attempts=2, backoff=Backoff(first=0.05, jitter="none"), in_place=0)
    bus = Bus(url, service="shop", retry=quick)
    attempts: list[int] = []
    seen = anyio.Event()

    @bus.subscribe("order.*", group="billing")
    async def charge(order: int) -> str:
        attempts.append(order)
        if order == 1 and attempts.count(1) == 1:
            raise ValueError("once more")
        if order == 2:
            raise Reject("never")
        return "charged"

    @bus.subscribe("order.*", broadcast=True)
    async def show(order: int) -> None:
        seen.set()

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("order.placed", 1)
            await bus.publish("order.placed", 2)
            await bus.publish("order.placed", 3, delay=0.1)
            await seen.wait()
            assert await bus.request("order.asked", 4) == "charged"
            while attempts.count(1) < 2 or 3 not in attempts:
                await anyio.sleep(0.01)
            await bus.drain()
            (letter,) = await bus.dead_letters("billing").list()
            await bus.dead_letters("billing").discard(letter.id)
            assert {each.name for each in await bus.groups()} >= {"billing"}
        async with Bus(url, service="tool") as tool:
            assert await tool.remove_group("billing")


async def test_a_worker_keeps_the_retention(guarded: TlsServer) -> None:
    url = url_of(guarded, "worker", prefix="busway:r") + "&retention=10ms&wait=0"
    bus = Bus(url, service="shop")
    bus.add(noting, "order.*", group="billing")
    name = "busway:r:{order}"
    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("order.placed", 1)
            while guarded.command("XLEN", name) != 0:
                await anyio.sleep(0.05)


async def noting(order: int) -> None: ...


async def test_a_publisher_may_publish_and_not_read(guarded: TlsServer) -> None:
    url = url_of(guarded, "publisher", prefix="busway:p")
    async with Bus(url, service="web", publish_only=True) as bus:
        with pytest.raises(StateError):
            bus.add(noting, "order.*")
        await bus.publish("order.placed", 1)
        await bus.publish("order.placed", 2, delay=60)
    for limit in ("&max_length=1000", "&max_length=1000&on_full=drop_oldest"):
        async with Bus(url + limit, service="web", publish_only=True) as bus:
            await bus.publish("order.placed", 3)
    reading = Bus(url, service="web")
    reading.add(noting, "order.*")
    with pytest.raises(TransportError, match="NOPERM"):
        await reading.start()


async def test_a_watcher_may_listen_and_keep_nothing(guarded: TlsServer) -> None:
    url, seen = url_of(guarded, "watcher", "rediss+pubsub"), asyncio.Event()
    bus = Bus(url, service="dashboard")

    @bus.subscribe("order.*", broadcast=True)
    async def show(order: int) -> int:
        seen.set()
        return order

    @bus.subscribe("**", broadcast=True)
    async def log(order: int) -> None: ...

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("order.placed", 1)
            await seen.wait()
            assert await bus.request("order.asked", 4) == 4
    with pytest.raises(BuswayError, match="NOPERM"):
        async with Bus(url_of(guarded, "watcher"), service="web") as kept:
            await kept.publish("order.placed", 1)


@pytest.mark.parametrize(
    "words",
    [words for words in PRODUCTION if words[0] != "ACL"],
    ids=lambda words: " ".join(words),
)
def test_what_is_asked_of_a_server_is_answered(own_redis: RedisServer, words: list[str]) -> None:
    own_redis.command("XADD", "busway:{order}", "*", "event", "{}")
    typed(own_redis, words)


# --- the wire, as others see it -------------------------------------------------------------------

REFERENCE = lines_of("reference/redis.md")


def typed(server: RedisServer, words: list[str]) -> str:
    done = subprocess.run(
        ["redis-cli", "-p", str(server.port), "-e", *words],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_an_entry_is_read_by_the_cloudevents_library(own_redis: RedisServer) -> None:
    http: Any = importlib.import_module("cloudevents.core.bindings.http")
    async with Bus(own_redis.url, service="shop") as bus:
        sent = await bus.publish("order.placed", {"id": "o-1"}, key="o-1", tenant="acme")
    entries: Any = own_redis.command("XRANGE", "busway:{order}", "-", "+")
    ((_, (name, document)),) = entries
    assert name == "event"
    message = http.HTTPMessage({"content-type": "application/cloudevents+json"}, document.encode())
    event = http.from_http_event(message)
    assert (event.get_id(), event.get_type()) == (sent.id, "order.placed")
    assert (event.get_subject(), event.get_source()) == ("o-1", "shop")
    assert event.get_extension("tenant") == "acme"
    assert event.get_data() == {"id": "o-1"}


async def test_what_another_language_publishes_is_handled(own_redis: RedisServer) -> None:
    arrived: list[tuple[object, str | None]] = []
    bus = Bus(own_redis.url, service="shop")

    @bus.subscribe("**", group="billing")
    async def charge(order: dict[str, object], message: Message[object]) -> None:
        arrived.append((order["id"], message.key))

    for words in REFERENCE:
        if words[0] in ("SADD", "XADD"):
            typed(own_redis, words)
    with anyio.fail_after(PATIENCE):
        async with bus:
            while not arrived:
                await anyio.sleep(0.01)
    assert arrived == [("o-2", "o-2")]


async def test_what_another_language_says_live_is_heard(own_redis: RedisServer) -> None:
    heard: list[object] = []
    bus = Bus(own_redis.url.replace("redis://", "redis+pubsub://"), service="dashboard")

    @bus.subscribe("order.*", broadcast=True)
    async def show(order: dict[str, object]) -> None:
        heard.append(order["id"])

    (words,) = (words for words in REFERENCE if words[0] == "PUBLISH")
    with anyio.fail_after(PATIENCE):
        async with bus:
            typed(own_redis, words)
            while not heard:
                await anyio.sleep(0.01)
    assert heard == ["o-3"]


async def test_the_reader_in_another_language_reads(own_redis: RedisServer, tmp_path: Path) -> None:
    """The shell of the page shows it, too."""
    async with Bus(own_redis.url, service="shop") as bus:
        await bus.publish("order.placed", {"id": "o-1", "total": 99.5}, key="o-1")
    (shown,) = (words for words in REFERENCE if words[0] == "XRANGE")
    assert '"type":"order.placed"' in typed(own_redis, shown)
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no Node.js")
    (program,) = re.findall(
        r"^```javascript\n(.*?)^```$",
        (DOCS / "reference/redis.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    (tmp_path / "read.js").write_text(program)
    done = await anyio.run_process(
        [node, str(tmp_path / "read.js")],
        env={**os.environ, "REDIS_PORT": str(own_redis.port)},
        check=False,
    )
    assert done.stdout == b"order.placed o-1 99.5\n", done.stderr


# --- tables and commands --------------------------------------------------------------------------


def names_in_table(page: str, heading: str) -> set[str]:
    """The names in the first column of the first table behind a heading."""
    text = (DOCS / page).read_text().partition(f"## {heading}\n")[2]
    rows = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert rows is not None
    first = [row.split("|")[1] for row in rows[0].splitlines()[2:]]
    return {name for cell in first for name in re.findall(r"`([a-z_]+)`", cell)}


def test_the_page_has_every_option() -> None:
    assert names_in_table("reference/redis.md", "Options") == {*OWN, *PUBSUB}


def test_the_page_has_every_option_of_the_client() -> None:
    text = (DOCS / "reference/redis.md").read_text()
    (sentence,) = re.findall(r"^Of the client: (.*?);", text, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`(\w+)`", sentence)) == set(CLIENT)


def test_the_page_has_every_number_of_the_transport() -> None:
    reported = RedisTransport("redis://localhost").report()
    assert names_in_table("how-to/redis-in-production.md", "What to watch") == set(reported)


async def test_the_demo_accounts_for_every_flight(own_redis: RedisServer) -> None:
    done = await anyio.run_process(
        [sys.executable, "-m", "examples.flights", "--limit", "200", "--url", own_redis.url],
        cwd=DOCS.parent,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"200 of 200 accounted for" in done.stdout


async def test_a_command_is_run_beside_a_server_of_its_own() -> None:
    """What ``make demo-redis`` does; its exit status is the command's."""
    program = (
        "import os, redis, sys; redis.Redis.from_url(os.environ['BUSWAY_URL']).ping(); sys.exit(3)"
    )
    tool = DOCS.parent / "tools" / "with_redis.py"
    done = await anyio.run_process(
        [sys.executable, tool, sys.executable, "-c", program], check=False
    )
    assert done.returncode == 3, done.stderr
