"""Which server a command goes to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from busway import UsageError

from ._cluster import Cluster
from ._dial import Dial, Dialer
from ._evaluating import evaluated
from ._link import Argument, Link
from ._options import Options
from ._renewing import Renewed, RenewingLink
from ._scripts import Script
from ._sentinel import master_dial

__all__ = ["Single", "Topology", "running_loop", "topology_of"]


class Topology(Protocol):
    """The servers, one or many, behind one set of options.

    Every call raises NotSent, Unanswered or Refused, within ``options.timeout`` seconds. What may
    have been executed is never sent again.
    """

    @property
    def one_slot(self) -> bool:
        """Whether all keys of one command must lie in one slot."""
        ...

    @property
    def connections(self) -> int:
        """How many connections were made for commands since it was opened."""
        ...

    async def open(self) -> None:
        """Connect. Nothing is left open when it raises."""
        ...

    async def close(self) -> None:
        """Hang up. It ends in time and raises nothing."""
        ...

    async def call(self, key: str, /, *command: Argument) -> Any:
        """A command and its answer, at the server that has the key."""
        ...

    def begin(self, key: str, /, *command: Argument) -> asyncio.Future[Any]:
        """The same, together with what else is begun in this turn of the event loop. The caller
        brings the deadline; see ``give_up``."""
        ...

    def give_up(self, future: asyncio.Future[Any], after: float, /) -> None:
        """The deadline of what was begun is over: let its future say whether it was sent."""
        ...

    async def script(
        self, script: Script, keys: Sequence[str], args: Sequence[Argument] = (), /
    ) -> Any:
        """What a script answers, at the server that has its first key."""
        ...

    def reader(self, key: str, /) -> Link:
        """A connection of its own to the server that has the key, for commands that block. The
        caller closes it. It finds the server anew each time it connects."""
        ...

    async def everywhere(self, *command: Argument) -> list[Any]:
        """What every master answers."""
        ...


class Single:
    """One server, or one behind Sentinels: whatever the dial connects to."""

    one_slot = False

    def __init__(self, dial: Dial, *, timeout: float, name: str) -> None:
        self._dial = dial
        self._timeout = timeout
        self._name = name
        self._shared = Renewed(self._new)

    def __repr__(self) -> str:
        return f"<Single {self._name}>"

    @property
    def connections(self) -> int:
        return self._shared.connections

    async def open(self) -> None:
        self._shared = Renewed(self._new)
        try:
            await self._shared.link.call("PING")
        except BaseException:
            await self._shared.close()
            raise

    async def close(self) -> None:
        await self._shared.close()

    async def call(self, key: str, /, *command: Argument) -> Any:
        return await self._shared.link.call(*command)

    def begin(self, key: str, /, *command: Argument) -> asyncio.Future[Any]:
        return self._shared.link.begin(*command)

    def give_up(self, future: asyncio.Future[Any], after: float, /) -> None:
        self._shared.link.give_up(future, after)

    async def script(
        self, script: Script, keys: Sequence[str], args: Sequence[Argument] = (), /
    ) -> Any:
        return await evaluated(self.call, script, keys, args)

    def reader(self, key: str, /) -> Link:
        return RenewingLink(self._dial, timeout=self._timeout, name=self._name)

    async def everywhere(self, *command: Argument) -> list[Any]:
        return [await self._shared.link.call(*command)]

    def _new(self) -> Link:
        return Link(self._dial, timeout=self._timeout, name=self._name)


def running_loop() -> asyncio.AbstractEventLoop:
    """Raises UsageError on an event loop that the client does not know."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            "busway-redis runs on asyncio, because Redis's client knows no other event loop: start "
            "the program with asyncio.run(), or anyio.run(..., backend='asyncio')"
        ) from None


def topology_of(options: Options) -> Topology:
    """The servers of these options, not connected yet. Raises OptionError."""
    dialer = Dialer(options)
    if options.topology == "cluster":
        return Cluster(dialer, options)
    if options.path is not None:
        dial, name = dialer.to_socket(options.path), options.path
    elif options.topology == "sentinel":
        dial, name = master_dial(dialer, options), options.where
    else:
        dial, name = dialer.to(options.nodes[0]), str(options.nodes[0])
    return Single(dial, timeout=options.timeout, name=name)
