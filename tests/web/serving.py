"""A real HTTP server in a thread, and a browser's half of Server-Sent Events."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import uvicorn

from tests.servers._until import until

__all__ = ["PATIENCE", "Event", "Looking", "looking", "serving", "wait_for"]

PATIENCE = 20.0
"""Seconds that anything may take."""


def wait_for(fact: Callable[[], bool], what: str) -> None:
    until(fact, what, PATIENCE)


@contextmanager
def serving(app: Any, *, grace: int = 5) -> Generator[str]:
    """The address of the app, served by uvicorn on a free port until the block is left."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(2048)
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            lifespan="on",
            timeout_graceful_shutdown=grace,
        )
        server = uvicorn.Server(config)
        ends: list[SystemExit] = []

        def run() -> None:
            try:
                server.run(sockets=[listening])
            except SystemExit as error:  # how uvicorn says that an app did not start
                ends.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            wait_for(lambda: server.started or not thread.is_alive(), "a start")
            assert server.started, f"the app did not start: {ends}"
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive(), "the server does not end"


class Event(NamedTuple):
    """What a browser makes of some lines."""

    name: str
    data: Any
    id: str


class Looking:
    """One connection to an event stream."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.retry = 0
        self.comments = 0
        self.last = ""
        self.lines = response.iter_lines()

    def __iter__(self) -> Iterator[Event]:
        """Until the server ends the stream."""
        name, data, id = "message", list[str](), ""
        for line in self.lines:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if line.startswith(":"):
                self.comments += 1
            elif field == "retry":
                self.retry = int(value)
            elif field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                id = value
            elif not line:
                # A place without an event counts, as for a browser.
                self.last = id or self.last
                if data:
                    yield Event(name, json.loads("\n".join(data)), id)
                name, data, id = "message", [], ""

    def take(self, count: int) -> list[Event]:
        """The next ones. Fails when the server says nothing for too long."""
        events = iter(self)
        return [next(events) for _ in range(count)]


@contextmanager
def looking(url: str, *, after: str = "", **query: Any) -> Generator[Looking]:
    """A browser that looks on; ``after`` is its Last-Event-ID. It looks when this is entered."""
    headers = {"last-event-id": after} if after else {}
    with (
        httpx.Client(timeout=PATIENCE, verify=False) as client,
        client.stream("GET", url, headers=headers, params=query) as response,
    ):
        assert response.status_code == 200, response.read()
        yield Looking(response)
