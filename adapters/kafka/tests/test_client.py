"""Connections that say nothing are given up."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from busway import TransportError
from busway_kafka._client import Client
from busway_kafka._options import Options

__all__: list[str] = []

pytestmark = pytest.mark.anyio


class Mute:
    """A connection on which nobody is heard any more."""

    host, port = "nowhere", 1

    def __init__(self) -> None:
        self.closed = False

    def connected(self) -> bool:
        return not self.closed

    def send(self, request: Any) -> Any:
        return asyncio.get_running_loop().create_future()

    def close(self, reason: Any = None) -> None:
        self.closed = True


async def test_who_says_nothing_of_the_cluster_is_asked_on_another_connection_next_time() -> None:
    """Those of the brokers that were known, and those that the URL names."""
    client = Client(Options(servers=("nowhere:1",), lease=1.0, timeout=0.05))
    known, named = Mute(), Mute()
    client._nodes = {1: ("nowhere", 1)}
    client._connections = {(1, ""): known, ("nowhere:1", ""): named}
    with pytest.raises(TransportError):
        await client.refresh()
    assert (known.closed, named.closed) == (True, True)


async def test_who_closes_waits_for_the_end_of_a_connection_that_was_being_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, made = Client(Options(servers=("nowhere:1",))), list[str]()

    async def dial(host: str, port: int) -> Mute:
        made.append("begun")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            made.append("ended")
        raise AssertionError

    monkeypatch.setattr(client._connecting, "dial", dial)
    with anyio.move_on_after(0.05):  # which cancels each wait of the closing, too
        await client.open()
    assert made == ["begun", "ended"]
