"""Connections are cut, stalled and slowed at chosen places, under a bus in this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from busway import Bus, Message, PublishError, PublishUnknown
from tests.faults._broker import behind
from tests.faults._proxy import Place, Proxy
from tests.servers import RedisServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 20.0
LEASE = 4.0
XACK = b"$4\r\nXACK\r\n"
"""The command; the word stands in scripts, too."""


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with started_or_skip(RedisServer) as server:
        yield server


class Town:
    """One bus behind the proxy, and what it handled."""

    def __init__(self, server: RedisServer, proxy: Proxy, prefix: str) -> None:
        self.server = server
        self.proxy = proxy
        self.prefix = prefix
        self.seen: list[str] = []
        url = behind(f"{server.url}?lease={LEASE:g}s&prefix={prefix}", proxy.port)
        self.bus = Bus(url, service="shop", publish_timeout=2.5)
        self._changed = asyncio.Condition()

    async def handle(self, data: dict[str, str], message: Message[Any]) -> None:
        async with self._changed:
            self.seen.append(data["name"])
            self._changed.notify_all()

    async def handled(self, *names: str) -> None:
        """Until these were handled, in whatever order."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: set(names) <= set(self.seen))

    async def publish(self, name: str) -> None:
        await self.bus.publish("red.done", {"name": name}, key=name)

    async def vanish(self) -> None:
        """The server cannot be reached, and the bus has noticed: what it writes into a connection
        before it has heard of its end is unknown."""
        await self.proxy.refuse()
        self.proxy.cut()
        for number in range(10):
            try:
                await self.publish(f"noticing {number}")
            except PublishUnknown:
                continue
            except PublishError:
                return
        raise AssertionError("it goes on as if nothing were")

    def written(self, name: str) -> int:
        """How many entries of the stream hold it."""
        entries = self.server.command("XRANGE", f"{self.prefix}:{{red}}", "-", "+")
        return str(entries).count(f'"name":"{name}"')

    def pending(self) -> int:
        """Of the group."""
        found = self.server.command("XPENDING", f"{self.prefix}:{{red}}", "see")
        assert isinstance(found, list)
        assert isinstance(found[0], int)
        return found[0]

    async def until(self, fact: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not await asyncio.to_thread(fact):
                await asyncio.sleep(0.02)


@asynccontextmanager
async def town(
    server: RedisServer, request: pytest.FixtureRequest, *, consuming: bool = False
) -> AsyncGenerator[Town]:
    prefix = "".join(each if each.isalnum() else "-" for each in request.node.name)
    async with Proxy("127.0.0.1", server.port) as proxy:
        found = Town(server, proxy, prefix)
        if consuming:
            found.bus.add(found.handle, "red.*", group="see")
        async with found.bus:
            await found.publish("first")
            if consuming:
                await found.handled("first")
            yield found


@pytest.mark.parametrize(("place", "arrives"), [("before", 0), ("after", 1), ("amid", 1)])
async def test_a_publish_whose_answer_is_lost_is_unknown_and_not_sent_again(
    server: RedisServer, request: pytest.FixtureRequest, place: Place, arrives: int
) -> None:
    async with town(server, request) as here:
        cut = here.proxy.cut_at(b'"second"', place)
        with pytest.raises(PublishUnknown):
            await here.publish("second")
        assert cut.is_set()
        await here.publish("third")
        assert (here.written("second"), here.written("third")) == (arrives, 1)


async def test_a_publish_that_nobody_listened_to_was_not_sent(
    server: RedisServer, request: pytest.FixtureRequest
) -> None:
    async with town(server, request) as here:
        await here.vanish()
        with pytest.raises(PublishError):
            await here.publish("second")
        await here.proxy.accept()
        await here.publish("third")
        assert (here.written("second"), here.written("third")) == (0, 1)


async def test_a_publish_into_a_stall_is_unknown_and_may_arrive_later_once(
    server: RedisServer, request: pytest.FixtureRequest
) -> None:
    async with town(server, request) as here:
        here.proxy.stall("up")
        with pytest.raises(PublishUnknown):
            await here.publish("second")
        assert here.written("second") == 0
        here.proxy.heal()
        await here.publish("third")
        await here.until(lambda: here.written("second") == 1)
        assert here.written("third") == 1


async def test_a_connection_that_the_server_closed_while_idle_is_no_error(
    server: RedisServer, request: pytest.FixtureRequest
) -> None:
    async with town(server, request) as here:
        server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await here.until(lambda: here.proxy.connections == 0)
        await here.publish("second")
        assert here.written("second") == 1


async def test_a_delivery_that_was_cut_in_its_middle_is_handled_once(
    server: RedisServer, request: pytest.FixtureRequest
) -> None:
    """The server has lent it already, and nobody has seen it."""
    async with town(server, request, consuming=True) as here:
        cut = here.proxy.cut_at(b'"second"', "delivery")
        async with asyncio.timeout(LEASE):
            other = Bus(f"{server.url}?prefix={here.prefix}", service="x", publish_only=True)
            async with other:
                await other.publish("red.done", {"name": "second"})
                await other.publish("red.done", {"name": "third"})
            await here.handled("second", "third")
        assert cut.is_set()
        assert sorted(here.seen) == ["first", "second", "third"]


@pytest.mark.parametrize("place", ["before", "after", "amid"])
async def test_an_acknowledgement_whose_answer_is_lost_is_made_again(
    server: RedisServer, request: pytest.FixtureRequest, place: Place
) -> None:
    async with town(server, request, consuming=True) as here:
        await here.until(lambda: here.pending() == 0)
        cut = here.proxy.cut_at(XACK, place)
        # It may be handled before its publisher has heard of it, on the connection that is cut.
        try:
            await here.publish("second")
        except PublishUnknown:
            assert here.written("second") == 1
        await here.handled("second")
        await asyncio.wait_for(cut.wait(), PATIENCE)
        await here.until(lambda: here.pending() == 0)
        await here.publish("third")
        await here.handled("third")
        assert here.seen == ["first", "second", "third"]
        assert here.bus.stats().lost == 0


async def test_everything_goes_on_after_all_connections_were_cut_many_times(
    server: RedisServer, request: pytest.FixtureRequest
) -> None:
    async with town(server, request, consuming=True) as here:
        sure: list[str] = []
        for number in range(60):
            name = f"n{number}"
            try:
                await here.publish(name)
            except (PublishError, PublishUnknown):
                continue
            sure.append(name)
            if number % 3 == 0:
                here.proxy.cut()
        assert len(sure) >= 20
        await here.handled(*sure)
        await here.until(lambda: here.pending() == 0)
        assert len(here.seen) == len(set(here.seen))


@pytest.mark.parametrize("direction", ["up", "down", "both"])
async def test_a_reader_whose_connection_went_silent_receives_again(
    server: RedisServer, request: pytest.FixtureRequest, direction: Any
) -> None:
    """Nobody is told that nothing goes through: it is seen by what is not answered."""
    async with town(server, request, consuming=True) as here:
        here.proxy.stall(direction)
        other = Bus(f"{server.url}?prefix={here.prefix}", service="x", publish_only=True)
        async with other:
            await other.publish("red.done", {"name": "second"})
        # Connections made from now on are as silent as those that were there.
        accepted = here.proxy.accepted
        await here.until(lambda: here.proxy.accepted > accepted)
        here.proxy.heal()
        await here.handled("second")
        await here.until(lambda: here.pending() == 0)


async def test_slow_and_byte_by_byte_is_still_everything_once(
    server: RedisServer, request: pytest.FixtureRequest
) -> None:
    async with town(server, request, consuming=True) as here:
        here.proxy.line.trickling = True
        here.proxy.line.latency = 0.01
        names = [f"n{number}" for number in range(10)]
        for name in names:
            await here.publish(name)
        await here.handled(*names)
        assert sorted(here.seen) == sorted(["first", *names])


async def test_an_outage_is_told_in_a_few_lines(
    server: RedisServer, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    async with town(server, request, consuming=True) as here:
        caplog.set_level(logging.INFO)
        await here.vanish()
        for _ in range(2):
            with pytest.raises(PublishError):
                await here.publish("second")
        await here.proxy.accept()
        await here.publish("third")
        await here.handled("third")
        assert 1 <= len(caplog.records) <= 10
