"""The proxy, between a client and a server that says everything twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import pytest

from tests.faults._proxy import Place, Proxy

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 10.0


@dataclass
class Echo:
    """It answers ``ab`` to ``a``, one line for each line, and remembers what it was told."""

    port: int = 0
    heard: bytes = b""
    ends: list[str] = field(default_factory=list[str])
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                writer.write(data.replace(b"\n", b"") * 2 + b"\n")
                await self.note(heard=data)
        except ConnectionResetError:
            await self.note(end="reset")
        else:
            await self.note(end="eof")
        writer.close()

    async def note(self, *, heard: bytes = b"", end: str | None = None) -> None:
        async with self.changed:
            self.heard += heard
            if end is not None:
                self.ends.append(end)
            self.changed.notify_all()

    async def until_ended(self, *ends: str) -> None:
        async with asyncio.timeout(PATIENCE), self.changed:
            await self.changed.wait_for(lambda: self.ends == list(ends))

    async def until_heard(self, heard: bytes) -> None:
        async with asyncio.timeout(PATIENCE), self.changed:
            await self.changed.wait_for(lambda: self.heard == heard)


Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def town() -> AsyncGenerator[tuple[Echo, Proxy]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.port = server.sockets[0].getsockname()[1]
    async with server, Proxy("127.0.0.1", echo.port) as proxy:
        yield echo, proxy


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncGenerator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def line(client: Client) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return await client[0].readline()


async def rest(client: Client) -> bytes:
    """What comes until the reset, which has to come."""
    got = b""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                piece = await client[0].read(1000)
            except ConnectionResetError:
                return got
            assert piece, "a proper end, and no reset"
            got += piece


async def test_it_forwards_in_both_directions_and_hangs_up_when_the_client_does() -> None:
    async with town() as (echo, proxy):
        async with connected(proxy) as client:
            client[1].write(b"hello\n")
            assert await line(client) == b"hellohello\n"
            assert (proxy.connections, proxy.accepted) == (1, 1)
        await echo.until_ended("eof")
    assert proxy.connections == 0


async def test_a_cut_resets_both_sides() -> None:
    async with town() as (echo, proxy), connected(proxy) as client:
        client[1].write(b"hello\n")
        await line(client)
        assert proxy.cut() == 1
        assert await rest(client) == b""
        await echo.until_ended("reset")


@pytest.mark.parametrize(
    ("place", "heard", "got"),
    [
        ("before", b"one\n", b""),
        ("after", b"one\ntwo\n", b""),
        ("amid", b"one\ntwo\n", b"two"),
    ],
)
async def test_a_connection_is_cut_where_it_was_asked_for(
    place: Place, heard: bytes, got: bytes
) -> None:
    async with town() as (echo, proxy), connected(proxy) as client:
        done = proxy.cut_at(b"two", place)
        client[1].write(b"one\n")
        assert await line(client) == b"oneone\n"
        assert not done.is_set()
        client[1].write(b"two\n")
        assert await rest(client) == got
        assert done.is_set()
        await echo.until_heard(heard)


async def test_a_delivery_is_cut_in_its_middle() -> None:
    async with town() as (_, proxy), connected(proxy) as client:
        proxy.cut_at(b"oneone", "delivery")
        client[1].write(b"one\n")
        assert await rest(client) == b"one"


async def test_the_place_of_a_cut_is_found_across_pieces() -> None:
    async with town() as (echo, proxy), connected(proxy) as client:
        done = proxy.cut_at(b"two", "before")
        client[1].write(b"t")
        await echo.until_heard(b"t")
        client[1].write(b"wo\n")
        await rest(client)
        assert done.is_set()
        assert echo.heard == b"t"


async def test_what_came_by_before_is_not_what_a_cut_waits_for() -> None:
    async with town() as (_, proxy), connected(proxy) as client:
        client[1].write(b"two\n")
        await line(client)
        done = proxy.cut_at(b"two", "before")
        client[1].write(b"one\n")
        assert await line(client) == b"oneone\n"
        assert not done.is_set()


async def test_a_cut_happens_once() -> None:
    async with town() as (_, proxy):
        proxy.cut_at(b"two", "before")
        for expected in (b"", b"twotwo\n"):
            async with connected(proxy) as client:
                client[1].write(b"two\n")
                assert (await line(client) if expected else await rest(client)) == expected


async def test_what_a_stall_held_up_arrives_after_it_even_if_the_client_has_gone() -> None:
    async with town() as (echo, proxy):
        async with connected(proxy) as client:
            client[1].write(b"one\n")
            await line(client)
            proxy.stall()
            client[1].write(b"two\n")
            await client[1].drain()
        async with connected(proxy) as other:
            other[1].write(b"three\n")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await other[0].readline()
            assert echo.heard == b"one\n"
            proxy.heal()
            assert await line(other) == b"threethree\n"
            await echo.until_ended("eof")
            assert sorted(echo.heard.split()) == [b"one", b"three", b"two"]


@pytest.mark.parametrize(("direction", "heard"), [("up", b""), ("down", b"one\n")])
async def test_one_direction_can_be_stalled_alone(
    direction: Literal["up", "down"], heard: bytes
) -> None:
    async with town() as (echo, proxy), connected(proxy) as client:
        proxy.stall(direction)
        client[1].write(b"one\n")
        await echo.until_heard(heard)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client[0].readline()
        proxy.heal()
        assert await line(client) == b"oneone\n"


async def test_what_is_refused_does_not_touch_what_is_connected() -> None:
    async with town() as (_, proxy), connected(proxy) as client:
        client[1].write(b"one\n")
        await line(client)
        await proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        client[1].write(b"two\n")
        assert await line(client) == b"twotwo\n"
        port = proxy.port
        await proxy.accept()
        assert proxy.port == port
        async with connected(proxy) as other:
            other[1].write(b"three\n")
            assert await line(other) == b"threethree\n"


async def test_a_byte_at_a_time_and_late_is_still_all_of_it() -> None:
    async with town() as (echo, proxy), connected(proxy) as client:
        proxy.line.trickling = True
        proxy.line.latency = 0.03
        before = asyncio.get_running_loop().time()
        client[1].write(b"hello\n")
        got = b""
        while len(got) < len(b"hellohello"):
            got += (await line(client)).strip()
        assert sorted(got) == sorted(b"hellohello")
        assert asyncio.get_running_loop().time() - before >= 0.06
        assert echo.heard == b"hello\n"


async def test_a_server_that_is_not_there_is_a_reset() -> None:
    server = await asyncio.start_server(Echo().serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with Proxy("127.0.0.1", port) as proxy, connected(proxy) as client:
        assert await rest(client) == b""
