"""One connection that many tasks share: what becomes of commands when it breaks, stalls or ends."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from redis.asyncio.connection import AbstractConnection

from busway.errors import TransportError
from busway_redis._answers import Deadlines, answers
from busway_redis._client import options_of
from busway_redis._dial import Dialer
from busway_redis._errors import NotSent, Unanswered
from busway_redis._link import Link
from tests.faults._proxy import Proxy
from tests.servers import RedisServer

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 15.0


@asynccontextmanager
async def linked(port: int, *, timeout: float = 1.0) -> AsyncGenerator[Link]:
    """A link to what listens on a port of this machine."""
    options = options_of(f"redis://127.0.0.1:{port}")
    link = Link(Dialer(options).to(options.nodes[0]), timeout=timeout, name="link")
    with anyio.fail_after(PATIENCE):
        try:
            yield link
        finally:
            await link.close()


async def test_a_server_that_takes_nothing_any_more_is_left(redis_server: RedisServer) -> None:
    """Whoever writes waits for room then, and must not wait for ever."""
    async with (
        Proxy("127.0.0.1", redis_server.port) as proxy,
        linked(proxy.port, timeout=0.4) as link,
    ):
        await link.call("PING")
        proxy.stall()
        with pytest.raises(TransportError):
            await link.call("ECHO", b"x" * 50_000_000)
        while proxy.accepted < 2:
            with pytest.raises(TransportError):
                await link.call("PING")
        proxy.heal()
        assert await link.call("PING") == b"PONG"


async def test_what_was_given_up_while_the_server_was_away_is_not_sent_later(
    own_redis: RedisServer,
) -> None:
    async with linked(own_redis.port) as link:
        own_redis.kill()
        with pytest.raises(TransportError):
            await answers([link.begin("INCR", "k"), link.begin("INCR", "k")], 0.1)
        cancelled = asyncio.create_task(link.call("INCR", "k"))
        await asyncio.sleep(0)
        cancelled.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await cancelled
        await asyncio.to_thread(own_redis.start)
        assert await link.call("GET", "k", timeout=PATIENCE) is None


async def test_what_was_given_up_while_it_was_dialled_is_not_sent_later(
    redis_server: RedisServer,
) -> None:
    options = options_of(redis_server.url)
    dial, dialling, gate = Dialer(options).to(options.nodes[0]), asyncio.Event(), asyncio.Event()

    async def late() -> AbstractConnection:
        dialling.set()
        await gate.wait()
        return await dial()

    link = Link(late, timeout=PATIENCE, name="link")
    key = uuid.uuid4().hex
    try:
        given_up = link.begin("INCR", key)
        await dialling.wait()
        given_up.cancel()
        value = link.begin("GET", key)
        gate.set()
        assert await value is None
    finally:
        await link.close()


async def test_a_deadline_says_whether_the_command_was_sent(redis_server: RedisServer) -> None:
    async with Proxy("127.0.0.1", redis_server.port) as proxy:
        async with linked(proxy.port) as link:
            await link.call("PING")
            proxy.stall()
            with pytest.raises(Unanswered):
                await link.call("PING", timeout=0.1)
        await proxy.refuse()
        async with linked(proxy.port) as link:
            with pytest.raises(NotSent):
                await link.call("PING", timeout=0.1)


async def test_who_is_cancelled_while_closing_is_cancelled(redis_server: RedisServer) -> None:
    async with linked(redis_server.port) as link:
        await link.call("PING")
        closing = asyncio.create_task(link.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing


async def test_an_answer_may_take_as_long_as_the_timeout(redis_server: RedisServer) -> None:
    async with linked(redis_server.port, timeout=1.0) as link:
        for each in ("0.4", "0.9", "0.3", "0.9"):
            assert await link.call("DEBUG", "SLEEP", each) == b"OK"
        assert link.connections == 1


async def test_an_event_loop_that_refuses_to_write_breaks_the_connection_and_not_the_link(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvloop's says so with a RuntimeError."""
    async with linked(redis_server.port) as link:
        await link.call("PING")
        send = AbstractConnection.send_packed_command

        async def refuse(self: AbstractConnection, *given: Any, **named: Any) -> None:
            monkeypatch.setattr(AbstractConnection, "send_packed_command", send)
            raise RuntimeError("the handler is closed")

        monkeypatch.setattr(AbstractConnection, "send_packed_command", refuse)
        with pytest.raises(TransportError, match="handler is closed"):
            await link.call("PING")
        assert await link.call("PING") == b"PONG"


def test_a_deadline_counts_on_a_second_event_loop(redis_server: RedisServer) -> None:
    """A transport may be entered again, on the loop of another ``asyncio.run``."""
    given_up: list[asyncio.Future[Any]] = []

    def give_up(future: asyncio.Future[Any], after: float) -> None:
        given_up.append(future)
        future.set_result(after)

    deadlines = Deadlines(give_up)

    async def begin() -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        deadlines.watch(future, 0.05)
        return future

    async def wait() -> None:
        with anyio.fail_after(PATIENCE):
            await (await begin())

    left = asyncio.run(begin())
    asyncio.run(wait())
    assert len(given_up) == 1
    assert not left.done()
