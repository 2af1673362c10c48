"""One connection through the proxy."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Cut", "Line", "Place", "Wire"]

Place = Literal["before", "after", "amid", "delivery"]
"""Where a connection is cut, seen from a client that sends certain bytes and waits for an answer.

- ``"before"``: the server sees nothing of them.
- ``"after"``: the server has them and has answered, the client gets nothing of the answer.
- ``"amid"``: the client gets the first half of the answer.
- ``"delivery"``: the bytes come from the server; the client gets the first half of them.
"""

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_PIECE = 65_536
_HEADER = 8
"""Bytes of an answer of Kafka that are kept so that somebody looks at the rest."""
_TRICKLES = 1_024
"""Bytes of a piece that trickle."""
_LONGEST = 128
"""Bytes of a needle at most."""
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Cut:
    """What was asked for and has not happened yet."""

    needle: bytes
    place: Place
    done: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Line:
    """What all connections go through, now."""

    latency: float = 0.0
    """Seconds that each piece waits, in both directions."""
    trickling: bool = False
    """One byte at a time, of each piece the first ones: that is where it is said how long it is.
    What lists all topics of a broker would take as long as a request may, on a busy machine."""
    garbling: bool = False
    """What the server says is not what arrives, behind the length and the number of each answer."""
    cuts: list[Cut] = field(default_factory=list[Cut])
    gates: dict[str, asyncio.Event] = field(
        default_factory=lambda: {"up": asyncio.Event(), "down": asyncio.Event()}
    )
    """Closed while that way is stalled."""


class Wire:
    """Two streams, and what goes from one to the other."""

    def __init__(self, client: Stream, line: Line) -> None:
        self._client = client
        self._server: Stream | None = None
        self._line = line
        self._answer: Cut | None = None
        """The answer that comes next is the one to be cut."""
        self._tails = {"up": b"", "down": b""}
        self._task: asyncio.Task[None] | None = None
        self._lost = False
        self.ended = asyncio.Event()

    def reset(self) -> None:
        """RST to both sides. What was under way is gone."""
        if not self._lost:
            self._lost = True
            for stream in (self._client, self._server):
                if stream is not None:
                    _abort(stream[1])
            if self._task is not None:
                self._task.cancel()

    async def run(self, host: str, port: int) -> None:
        """Until both sides have hung up, or the connection is reset."""
        self._task = asyncio.create_task(self._run(host, port))
        await asyncio.wait([self._task])
        lost = self._task.cancelled() or self._task.exception() is not None
        # What one side lost without a word the other must not take for a proper end.
        for stream in (self._client, self._server):
            if stream is not None:
                _abort(stream[1]) if lost else stream[1].close()

    async def _run(self, host: str, port: int) -> None:
        await self._line.gates["up"].wait()
        self._server = await asyncio.open_connection(host, port)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pump("up", self._client[0], self._server[1]))
            tasks.create_task(self._pump("down", self._server[0], self._client[1]))

    async def _pump(
        self, way: str, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        line = self._line
        gate = line.gates[way]
        while data := await source.read(_PIECE):
            if line.latency:
                await asyncio.sleep(line.latency)
            await gate.wait()
            if self._look(way, data, sink):
                return
            if line.garbling and way == "down":
                data = data[:_HEADER] + os.urandom(max(0, len(data) - _HEADER))
            if not line.trickling:
                sink.write(data)
                await sink.drain()
                continue
            for place in range(min(len(data), _TRICKLES)):
                sink.write(data[place : place + 1])
                await sink.drain()
                await asyncio.sleep(0)
            sink.write(data[_TRICKLES:])
            await sink.drain()
        await gate.wait()
        sink.write_eof()

    def _look(self, way: str, data: bytes, sink: asyncio.StreamWriter) -> bool:
        """Whether the connection was cut here."""
        if way == "down" and self._answer is not None:
            cut, self._answer = self._answer, None
            self._carry_out(cut, data if cut.place == "amid" else b"", sink)
            return True
        tail = self._tails[way]
        self._tails[way] = (tail + data)[-_LONGEST:]
        for cut in self._line.cuts:
            # Not what came by before: only what ends in this piece.
            seen = tail[max(0, len(tail) + 1 - len(cut.needle)) :] + data
            if (cut.place == "delivery") == (way == "down") and cut.needle in seen:
                self._line.cuts.remove(cut)
                if cut.place in ("after", "amid"):
                    self._answer = cut
                    return False
                self._carry_out(cut, data if cut.place == "delivery" else b"", sink)
                return True
        return False

    def _carry_out(self, cut: Cut, data: bytes, sink: asyncio.StreamWriter) -> None:
        half = data[: len(data) // 2]
        if half:
            sink.write(half)
        cut.done.set()
        self.reset()


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN: what is not sent yet is thrown away."""
    connection: socket.socket = writer.get_extra_info("socket")
    if connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
