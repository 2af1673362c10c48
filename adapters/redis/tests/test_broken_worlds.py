"""A Redis that breaks under a running bus: said once, asked seldom, and used again by itself.

Each test breaks something on a real server for a while. The bus is never restarted.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from busway import Bus
from busway.errors import PublishError, PublishUnknown
from busway.transport import Group
from busway_redis import open_redis
from tests.facts import PATIENCE, letters, quick
from tests.servers import RedisServer, version
from tests.servers.plugin import started_or_skip

pytestmark = pytest.mark.anyio

WINDOW = 1.5
"""Seconds for which a broken world is watched."""
CALM = 80.0
"""Commands a second that one waiting bus may send at most, in any world."""
RED, BLUE = "busway:{red}", "busway:{blue}"
GROUP = "see"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    # Before 7.0 nothing was protected.
    config = ["enable-protected-configs local"] if version() >= (7, 0) else []
    with started_or_skip(lambda: RedisServer(config=config)) as server:
        server.command("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all")
        yield server


class World:
    """A bus that handles two channels, and the server under it."""

    def __init__(self, server: RedisServer, options: str) -> None:
        self.server = server
        self.seen: list[Any] = []
        self.hold = asyncio.Event()
        self.hold.set()
        url = server.url.replace("//", "//app:secret@")
        self.bus = Bus(f"{url}?{options}", service="shop", publish_timeout=2.0, retry=quick(1))
        self.bus.add(self.handle, "red.*", "blue.*", group=GROUP)

    async def handle(self, data: Any) -> None:
        await self.hold.wait()
        if isinstance(data, str) and data.startswith("bad"):
            raise ValueError(data)
        self.seen.append(data)

    async def handled(self, *data: Any) -> None:
        with anyio.fail_after(PATIENCE):
            while not set(data) <= set(self.seen):
                await anyio.sleep(0.01)

    async def published(self, topic: str, data: Any) -> None:
        """Until it is surely taken, as an application does that prefers two copies to none: what is
        written while its connection breaks is unknown."""
        with anyio.fail_after(PATIENCE):
            while True:
                try:
                    await self.bus.publish(topic, data)
                    return
                except (PublishError, PublishUnknown):
                    await anyio.sleep(0.05)

    async def command(self, *words: str | int) -> Any:
        return await anyio.to_thread.run_sync(lambda: self.server.command(*words))

    async def busy(self) -> float:
        """Commands a second that reach the server now, refused ones too."""
        before, at = await self._calls(), time.monotonic()
        await anyio.sleep(WINDOW)
        return (await self._calls() - before) / (time.monotonic() - at)

    async def _calls(self) -> int:
        stats = await anyio.to_thread.run_sync(self.server.info, "commandstats")
        stats.pop("cmdstat_info", None)
        return sum(
            _number(each, "calls") + _number(each, "rejected_calls") for each in stats.values()
        )


def _number(line: str, name: str) -> int:
    found = dict(part.split("=") for part in line.split(","))
    return int(found.get(name, 0))


@asynccontextmanager
async def world(
    server: RedisServer, caplog: pytest.LogCaptureFixture, options: str = "lease=4s"
) -> AsyncGenerator[World]:
    server.command("FLUSHALL")
    here = World(server, options)
    async with here.bus:
        await here.bus.publish("red.first", "r0")
        await here.bus.publish("blue.first", "b0")
        await here.handled("r0", "b0")
        caplog.clear()
        caplog.set_level(logging.INFO)
        yield here
        here.hold.set()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name.startswith("busway")]


def never_twice(caplog: pytest.LogCaptureFixture) -> None:
    """No line stands there twice, and there are few."""
    lines = Counter(said(caplog))
    assert [line for line, count in lines.items() if count > 1] == []
    assert len(lines) <= 8, list(lines)


async def tended(caplog: pytest.LogCaptureFixture) -> None:
    """Until the trouble is over for all of the bus. What it handles it reads on a connection of its
    own: that may be back before it has caught up with the rest."""
    with anyio.fail_after(PATIENCE):
        while _times("not tended now", caplog) > _times("tended again", caplog):
            await anyio.sleep(0.01)


def _times(words: str, caplog: pytest.LogCaptureFixture) -> int:
    return sum(words in line for line in said(caplog))


# --- what was stored is taken away ----------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [("FLUSHALL",), ("DEL", RED), ("XGROUP", "DESTROY", RED, GROUP)],
    ids=["flushall", "del", "xgroup destroy"],
)
async def test_what_is_taken_away_is_made_again(
    server: RedisServer, caplog: pytest.LogCaptureFixture, words: Sequence[str]
) -> None:
    async with world(server, caplog) as here:
        await here.command(*words)
        assert await here.busy() < CALM
        await here.bus.publish("red.more", "r1")
        await here.bus.publish("blue.more", "b1")
        await here.handled("r1", "b1")
        assert here.seen.count("r0") == 1, "what was handled does not come again"
        never_twice(caplog)


async def test_what_is_published_into_a_stream_without_its_group_is_handled(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(server, caplog) as here:
        with server.connect() as connection:
            connection.command("MULTI")
            connection.command("XGROUP", "DESTROY", RED, GROUP)
            event: Any = server.command("XRANGE", RED, "-", "+", "COUNT", 1)
            document = event[0][1][1].replace('"r0"', '"r1"')
            connection.command("XADD", RED, "*", "event", document)
            connection.command("EXEC")
        await here.handled("r1")
        assert here.seen.count("r0") == 1


# --- keys of another type -------------------------------------------------------------------------


async def test_a_key_of_another_type_stops_its_own_channel_only(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(server, caplog) as here:
        await here.command("SET", RED, "somebody's")
        with pytest.raises(PublishError, match="WRONGTYPE"):
            await here.bus.publish("red.more", "refused")
        await here.bus.publish("blue.more", "b1")
        await here.handled("b1")
        assert await here.busy() < CALM
        await here.bus.publish("blue.more", "b2")
        await here.handled("b2")
        assert any("WRONGTYPE" in line for line in said(caplog))
        await here.command("DEL", RED)
        await here.published("red.more", "r1")
        await here.handled("r1")
        never_twice(caplog)


# --- a full server --------------------------------------------------------------------------------


async def test_a_full_server_refuses_cleanly_and_consumers_drain(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(server, caplog) as here:
        here.hold.clear()
        for number in range(20):
            await here.bus.publish("red.more", number)
        await here.bus.publish("blue.more", "bad 1")
        await here.bus.publish("blue.later", "late", delay=0.5)
        with full(server):
            with pytest.raises(PublishError, match="OOM") as caught:
                await here.bus.publish("red.more", "refused")
            assert not isinstance(caught.value, PublishUnknown)
            here.hold.set()
            await here.handled(*range(20), "late")
            await letters(here.bus, GROUP, 1)
            assert await here.busy() < CALM
            assert here.bus.stats().dead == 1
            (state,) = [each for each in await here.bus.groups() if each.name == GROUP]
            assert state.members == 1, "it lives"
        await here.bus.publish("red.more", "after")
        await here.handled("after")
        assert "refused" not in here.seen
        never_twice(caplog)


async def test_a_full_server_lets_in_who_is_to_empty_it(own_redis: RedisServer) -> None:
    """With its group new to the server, and with its group known from before."""
    seen: list[Any] = []
    for first in (0, 20):
        async with Bus(own_redis.url, service="shop", publish_only=True) as publisher:
            for number in range(first, first + 20):
                await publisher.publish("red.more", number)
        done = asyncio.Event()
        bus = Bus(own_redis.url, service="shop")

        async def handle(data: int) -> None:
            seen.append(data)
            if len(seen) % 20 == 0:
                done.set()  # noqa: B023  the handler of this round

        bus.add(handle, "red.*", group=GROUP)
        with full(own_redis), anyio.fail_after(PATIENCE):
            async with bus:
                await done.wait()
    assert seen == list(range(40))


@contextmanager
def full(server: RedisServer) -> Generator[None]:
    server.command("CONFIG", "SET", "maxmemory", 1)
    try:
        yield
    finally:
        server.command("CONFIG", "SET", "maxmemory", 0)


# --- a server that refuses writes for a while -----------------------------------------------------


@contextmanager
def cannot_save(server: RedisServer) -> Generator[None]:
    """MISCONF."""
    folder = Path(tempfile.mkdtemp())
    server.command("CONFIG", "SET", "dir", str(folder))
    shutil.rmtree(folder)
    server.command("CONFIG", "SET", "save", "10000 1")
    _save_ends(server, "err")
    try:
        yield
    finally:
        server.command("CONFIG", "SET", "dir", str(server.folder))
        _save_ends(server, "ok")
        server.command("CONFIG", "SET", "save", "")


def _save_ends(server: RedisServer, status: str) -> None:
    limit = time.monotonic() + PATIENCE
    while server.info("persistence")["rdb_last_bgsave_status"] != status:
        if server.info("persistence")["rdb_bgsave_in_progress"] == "0":
            server.command("BGSAVE")
        assert time.monotonic() < limit


@contextmanager
def replica(server: RedisServer) -> Generator[None]:
    """READONLY."""
    server.command("REPLICAOF", "127.0.0.1", 1)
    try:
        yield
    finally:
        server.command("REPLICAOF", "NO", "ONE")


@contextmanager
def forbidden(server: RedisServer) -> Generator[None]:
    """NOPERM."""
    server.command("ACL", "SETUSER", "app", "-@all", "+ping", "+select", "+client")
    try:
        yield
    finally:
        server.command("ACL", "SETUSER", "app", "+@all")


@pytest.mark.parametrize(
    ("trouble", "code"),
    [(cannot_save, "MISCONF"), (replica, "READONLY"), (forbidden, "NOPERM")],
    ids=["misconf", "readonly", "noperm"],
)
async def test_a_server_that_refuses_for_a_while_is_used_again_afterwards(
    server: RedisServer, caplog: pytest.LogCaptureFixture, trouble: Any, code: str
) -> None:
    async with world(server, caplog) as here:
        here.hold.clear()
        await here.bus.publish("red.more", "r1")
        await _in_flight(here)
        with trouble(server):
            with pytest.raises(PublishError, match=code) as caught:
                await here.bus.publish("red.more", "refused")
            assert not isinstance(caught.value, PublishUnknown)
            here.hold.set()
            await here.handled("r1")
            assert await here.busy() < CALM
            assert any(code in line for line in said(caplog))
        await here.published("red.more", "r2")
        await here.published("blue.more", "b2")
        await here.handled("r2", "b2")
        assert "refused" not in here.seen
        never_twice(caplog)
        await _all_acknowledged(here)


async def _in_flight(here: World) -> None:
    with anyio.fail_after(PATIENCE):
        while here.bus.stats().groups[0].in_flight == 0:
            await anyio.sleep(0.01)


async def _all_acknowledged(here: World) -> None:
    """What was settled while the server refused is settled in the end."""
    with anyio.fail_after(PATIENCE):
        while (await here.command("XPENDING", RED, GROUP))[0] != 0:
            await anyio.sleep(0.02)


# --- connections ----------------------------------------------------------------------------------


async def test_connections_that_are_killed_are_made_again(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(server, caplog) as here:
        for number in range(5):
            await here.command("CLIENT", "KILL", "TYPE", "normal")
            await here.published("red.more", number)
            await here.handled(number)
        await tended(caplog)
        assert await here.busy() < CALM
        await here.command("CLIENT", "KILL", "TYPE", "normal")
        await here.published("blue.more", "b1")
        await here.handled("b1")


async def test_a_server_that_sleeps_is_awaited(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Longer than an answer may take, shorter than the lease."""
    async with world(server, caplog, "lease=5s&timeout=700ms") as here:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.command, "DEBUG", "SLEEP", 2)
        await here.published("red.more", "r1")
        await here.handled("r1")
        await tended(caplog)
        assert await here.busy() < CALM
        never_twice(caplog)


async def test_a_server_that_loads_is_awaited(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(server, caplog) as here:
        with server.connect() as connection:
            for number in range(15_000):
                connection.command("SET", f"key{number}", number)
        await here.command("CONFIG", "SET", "key-load-delay", 100)
        await here.command("CONFIG", "REWRITE")
        caplog.clear()
        await anyio.to_thread.run_sync(lambda: server.restart(ready=False))
        try:
            with pytest.raises(PublishError, match="LOADING"):
                await here.bus.publish("red.more", "refused")
        finally:
            await _loaded(here)
        await here.published("red.more", "r1")
        await here.handled("r1")
        await tended(caplog)
        assert await here.busy() < CALM
        never_twice(caplog)


async def _loaded(here: World) -> None:
    with anyio.fail_after(PATIENCE):
        while (await anyio.to_thread.run_sync(here.server.info, "persistence"))["loading"] != "0":
            await anyio.sleep(0.05)
    await here.command("CONFIG", "SET", "key-load-delay", 0)
    await here.command("CONFIG", "REWRITE")


async def test_a_member_can_say_that_it_lives_to_a_full_server(server: RedisServer) -> None:
    server.command("FLUSHALL")
    one = Group(GROUP, ("red.*",), lambda topic: True, member="one")
    async with open_redis(server.url) as transport:
        with full(server):
            assert await transport.announce(one) == {"one": ("red.*",)}
