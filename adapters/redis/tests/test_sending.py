"""In which order things are written."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import anyio
import pytest

from busway import Envelope
from busway.codec import JsonCodec
from busway.transport import WRITTEN, Address, Outgoing
from busway_redis._client import options_of
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
