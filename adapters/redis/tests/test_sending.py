"""In which order things are written."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import anyio
import pytest

from busway import Envelope
from busway.codec import JsonCodec
from busway.transport import WRITTEN, Address, NotWritten, Outgoing
from busway_redis._client import options_of
from busway_redis._errors import NotSent
from busway_redis._keys import Keys
from busway_redis._link import Argument
from busway_redis._sending import Sender

__all__: list[str] = []

pytestmark = pytest.mark.anyio


class Nodes:
    """A cluster whose answers come when the test says so."""

    one_slot = True

    def __init__(self) -> None:
        self.begun: list[tuple[Argument, asyncio.Future[Any]]] = []

    def begin(self, key: str, /, *command: Argument) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.begun.append((command[0], future))
        return future

    def give_up(self, future: asyncio.Future[Any], after: float, /) -> None:
        pass

    @property
    def verbs(self) -> list[Argument]:
        return [verb for verb, _ in self.begun]


async def test_on_a_cluster_no_event_is_written_before_the_registry_was_told() -> None:
    """What is written where no registry names it would be found by nobody."""
    nodes = Nodes()
    sender = Sender(nodes, Keys("p"), options_of("redis://"))
    item = Outgoing(Envelope("a.b", 1, "test", time.time()), Address("a"), JsonCodec())
    sending = asyncio.create_task(sender.send([item], 5.0))
    await anyio.wait_all_tasks_blocked()
    assert nodes.verbs == ["SADD"]
    nodes.begun[0][1].set_result(1)
    await anyio.wait_all_tasks_blocked()
    assert nodes.verbs == ["SADD", "XADD"]
    nodes.begun[1][1].set_result(b"1-0")
    assert await sending == [WRITTEN]


class OneServer(Nodes):
    """A server that answers nothing by itself."""

    one_slot = False

    def give_up(self, future: asyncio.Future[Any], after: float, /) -> None:
        if not future.done():
            future.set_exception(NotSent("not reached"))


def many(count: int) -> list[Outgoing]:
    now = time.time()
    return [
        Outgoing(Envelope("a.b", number, "test", now), Address("a"), JsonCodec())
        for number in range(count)
    ]


async def test_of_many_some_are_on_their_way_while_others_are_encoded() -> None:
    server = OneServer()
    sender = Sender(server, Keys("p"), options_of("redis://"))
    sending = asyncio.create_task(sender.send(many(1_000), 5.0))
    await asyncio.sleep(0)
    begun = server.verbs.count("XADD")
    assert 0 < begun < 1_000
    sending.cancel()
    await asyncio.wait([sending])
    assert server.verbs.count("XADD") == begun, "what was cancelled goes on"


async def test_what_is_begun_when_the_deadline_is_over_is_not_waited_for() -> None:
    server = OneServer()
    sender = Sender(server, Keys("p"), options_of("redis://"))
    with anyio.fail_after(5):
        outcomes = await sender.send(many(1_000), 0.0)
    assert [type(each) for each in outcomes] == [NotWritten] * 1_000
