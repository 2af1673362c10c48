"""What a transport sends through, as its options want it."""

from __future__ import annotations

from collections.abc import Sequence

from busway.transport import Outcome, Outgoing

from ._capping import Capped
from ._confirming import Confirmed
from ._keys import Keys
from ._options import Options
from ._resending import Resending
from ._retention import Retention
from ._sending import Sender, Writes
from ._topology import Topology, topology_of

__all__ = ["Publishing"]


class Publishing:
    """A sender, and around it what was asked for; where nothing was, nothing."""

    def __init__(
        self, topology: Topology, keys: Keys, options: Options, retention: Retention
    ) -> None:
        writes: Writes = topology
        self._own: Topology | None = None
        """Connections for writing alone, where WAIT would hold up everything else."""
        self.confirmed: Confirmed | None = None
        self.capped: Capped | None = None
        self.resending: Resending | None = None
        if options.wait:
            self._own = topology_of(options)
            writes = self.confirmed = Confirmed(self._own, options)
        if options.max_length is not None:
            writes = self.capped = Capped(writes, retention, options)
        self._writes_to = self._own or topology
        self._connections = 0
        self._sender = Sender(writes, keys, options)
        self._send = self._sender.send
        if options.on_unknown == "resend":
            self.resending = Resending(self._sender.send)
            self._send = self.resending.send

    @property
    def connections(self) -> int:
        """How many connections were made for writing alone."""
        return 0 if self._own is None else self._own.connections

    async def open(self) -> None:
        if self._own is not None:
            await self._own.open()
        self._connections = self._writes_to.connections

    async def close(self) -> None:
        """It ends in time and raises nothing."""
        self._sender.forget()
        if self._own is not None:
            await self._own.close()

    async def send(self, items: Sequence[Outgoing], timeout: float) -> Sequence[Outcome]:
        outcomes = await self._send(items, timeout)
        if self._writes_to.connections != self._connections:
            # A server that was restarted, or took over, may have lost what the other was told.
            self._connections = self._writes_to.connections
            self._sender.tell_anew(items)
        return outcomes
