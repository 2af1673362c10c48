"""A TCP proxy that does to connections what a test asks for. It runs on asyncio."""

from __future__ import annotations

import asyncio
from typing import Literal, Self

from ._wire import Cut, Line, Place, Wire

__all__ = ["Direction", "Place", "Proxy"]

Direction = Literal["up", "down", "both"]


class Proxy:
    """It listens on a port of its own, for as long as its context lasts, and forwards to a server.

    What is changed counts for the connections that are there and for those to come. Nothing that a
    stall held up is thrown away, just as TCP does not: it arrives when the stall is over, even if
    whoever sent it has hung up.
    """

    def __init__(self, host: str, port: int, listen: int = 0) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._wires: set[Wire] = set()
        self.line = Line()
        """What it is like to go through here: set its latency, or let it trickle."""
        self.port = listen
        """It listens on; 0 until one was found."""
        self.accepted = 0
        """Connections so far."""

    async def __aenter__(self) -> Self:
        self.heal()
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        wires = list(self._wires)
        for wire in wires:
            wire.reset()
        await asyncio.gather(*(wire.ended.wait() for wire in wires))

    @property
    def connections(self) -> int:
        """Connections now."""
        return len(self._wires)

    def cut(self) -> int:
        """Reset every connection, on both sides. How many there were."""
        wires = list(self._wires)
        for wire in wires:
            wire.reset()
        return len(wires)

    def cut_at(self, needle: bytes, place: Place) -> asyncio.Event:
        """Reset, once, the connection on which these bytes come by; see ``Place``. The event is set
        when that was done."""
        cut = Cut(needle, place)
        self.line.cuts.append(cut)
        return cut.done

    def stall(self, direction: Direction = "both") -> None:
        """Forward nothing that way; nobody is told. ``"up"`` is from the client to the server."""
        for name, gate in self.line.gates.items():
            if direction in (name, "both"):
                gate.clear()

    def forget(self) -> None:
        """Nothing goes through the connections that are there, ever; nobody is told. Those to come
        are as new."""
        self.stall()
        self.line = Line()
        self.heal()

    def heal(self) -> None:
        """The end of a stall."""
        for gate in self.line.gates.values():
            gate.set()

    async def refuse(self) -> None:
        """New connections are refused; those that are there stay."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    async def accept(self) -> None:
        """New connections are accepted, on the same port as before."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        wire = Wire((reader, writer), self.line)
        self._wires.add(wire)
        try:
            await wire.run(*self._target)
        finally:
            self._wires.discard(wire)
            wire.ended.set()
