"""What somebody does to Redis while a bus is on it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from busway import Bus, Message, PublishError
from tests.servers import RedisServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 20.0
STREAM = "busway:{red}"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with started_or_skip(RedisServer) as server:
        yield server


class Town:
    """A bus whose handler can be held back."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.seen: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.bus = Bus(f"{server.url}?lease=3s", service="shop", publish_timeout=2.0)
        self.subscription = self.bus.add(self.handle, "red.*", group="see", concurrency=4)
        self._changed = asyncio.Condition()

    async def handle(self, data: dict[str, str], message: Message[Any]) -> None:
        await self.gate.wait()
        async with self._changed:
            self.seen.append(data["name"])
            self._changed.notify_all()

    async def publish(self, *names: str) -> None:
        for name in names:
            await self.bus.publish("red.done", {"name": name})

    async def handled(self, names: Sequence[str]) -> None:
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: set(names) <= set(self.seen))


@asynccontextmanager
async def town(server: RedisServer) -> AsyncGenerator[Town]:
    server.command("FLUSHALL")
    found = Town(server)
    async with found.bus:
        await found.publish("first")
        await found.handled(["first"])
        yield found
        found.gate.set()


@pytest.mark.parametrize(
    "command",
    [("FLUSHALL",), ("DEL", STREAM), ("XGROUP", "DESTROY", STREAM, "see")],
    ids=lambda words: words[0],
)
async def test_what_is_published_after_it_was_taken_away_is_handled(
    server: RedisServer, command: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    async with town(server) as here:
        caplog.set_level(logging.INFO)
        server.command(*command)
        names = [f"n{number}" for number in range(20)]
        await here.publish(*names)
        await here.handled(names)
        assert here.seen == ["first", *names]
        assert 1 <= len(caplog.records) <= 6, "it is said, and not again and again"


async def test_what_lay_in_the_stream_when_its_group_was_destroyed_is_not_lost(
    server: RedisServer,
) -> None:
    """What had been read and not acknowledged may be lost with the group's list of it."""
    async with town(server) as here:
        here.subscription.pause()
        await asyncio.to_thread(server.command, "XGROUP", "DESTROY", STREAM, "see")
        names = [f"n{number}" for number in range(20)]
        await here.publish(*names)
        here.subscription.resume()
        await here.handled(names)


async def test_acks_for_a_group_that_is_gone_are_harmless(server: RedisServer) -> None:
    async with town(server) as here:
        here.gate.clear()
        await here.publish("a", "b", "c")
        async with asyncio.timeout(PATIENCE):
            while here.bus.stats().groups[0].in_flight < 3:
                await asyncio.sleep(0.01)
        await asyncio.to_thread(server.command, "XGROUP", "DESTROY", STREAM, "see")
        here.gate.set()
        await here.handled(["a", "b", "c"])
        await here.publish("d")
        await here.handled(["d"])


async def test_a_key_of_another_type_is_an_error_until_it_is_gone(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with town(server) as here:
        caplog.set_level(logging.INFO)
        await asyncio.to_thread(server.command, "SET", STREAM, "mine")
        with pytest.raises(PublishError):
            await here.publish("second")
        async with asyncio.timeout(PATIENCE):
            while not any("WRONGTYPE" in each.getMessage() for each in caplog.records):
                await asyncio.sleep(0.02)
        await asyncio.to_thread(server.command, "DEL", STREAM)
        await here.publish("third")
        await here.handled(["third"])
        assert "second" not in here.seen


async def test_a_full_server_refuses_what_is_published_and_consumers_go_on(
    server: RedisServer,
) -> None:
    async with town(server) as here:
        here.gate.clear()
        names = [f"n{number}" for number in range(20)]
        await here.publish(*names)
        server.command("CONFIG", "SET", "maxmemory", "1")
        try:
            with pytest.raises(PublishError):
                await here.publish("refused")
            here.gate.set()
            await here.handled(names)
            async with asyncio.timeout(PATIENCE):
                while (await asyncio.to_thread(_pending, server)) > 0:
                    await asyncio.sleep(0.02)
        finally:
            server.command("CONFIG", "SET", "maxmemory", "0")
        await here.publish("after")
        await here.handled(["after"])
        assert "refused" not in here.seen


def _pending(server: RedisServer) -> int:
    found = server.command("XPENDING", STREAM, "see")
    assert isinstance(found, list)
    assert isinstance(found[0], int)
    return found[0]


async def test_scripts_that_were_forgotten_are_sent_again(server: RedisServer) -> None:
    async with town(server) as here:
        server.command("SCRIPT", "FLUSH")
        here.gate.clear()
        await here.publish("a")
        await asyncio.sleep(0)
        here.gate.set()
        await here.handled(["a"])
