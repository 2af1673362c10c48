"""``wait=n``: an event counts as published when n replicas have it, too.

WAIT answers for everything that was written before it on its own connection, and holds up all that
comes behind it there. So what is sent has a connection of its own, and one WAIT stands behind many
commands: those that came while the last WAIT was not answered yet. Commands and their WAIT are
begun in one turn of the event loop, which is one write: an answer of WAIT never speaks for what was
written on a connection before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from ._answers import unheard
from ._errors import NotSent, Refused, Unanswered
from ._link import Argument
from ._options import Options
from ._sending import Writes

__all__ = ["Confirmed"]


class Confirmed:
    """The same as ``inner``, and an answer is there when the replicas have what was written.

    When they have not in time, the answer is Unanswered: the master has the event, and whether it
    survives a failover nobody knows. On a cluster a slot that is on its way to another node is the
    exception: there the WAIT may have asked the node that had it before.
    """

    def __init__(self, inner: Writes, options: Options) -> None:
        self._inner = inner
        self._count = options.wait
        # The link takes a server that says nothing for its whole timeout for gone.
        self._patience = options.timeout / 2
        self._lines: dict[str, deque[_Writing]] = {}
        """By the part of the key that decides the node: what waits for the next WAIT."""
        self._rounds: set[asyncio.Task[None]] = set()
        self.unconfirmed = 0
        """Events that too few replicas had in time."""

    @property
    def one_slot(self) -> bool:
        return self._inner.one_slot

    def begin(self, key: str, /, *command: Argument) -> asyncio.Future[Any]:
        future = _Writing(key, command)
        place = _tag(key) if self._inner.one_slot else ""
        line = self._lines.get(place)
        if line is None:
            line = self._lines[place] = deque()
            running = asyncio.get_running_loop().create_task(self._serve(place, line))
            self._rounds.add(running)
            running.add_done_callback(self._rounds.discard)
        line.append(future)
        return future

    def give_up(self, future: asyncio.Future[Any], after: float, /) -> None:
        if future.done():
            return
        inner = future.inner if isinstance(future, _Writing) else None
        if inner is None:
            future.set_exception(NotSent(f"not reached within {after:g} s"))
        elif not inner.done():
            self._inner.give_up(inner, after)
        else:
            future.set_exception(Unanswered(f"not confirmed by replicas within {after:g} s"))

    async def _serve(self, place: str, line: deque[_Writing]) -> None:
        """Rounds, as long as there is something to send."""
        while line:
            batch = [each for each in line if not each.done()]
            line.clear()
            if batch:
                await self._round(batch)
        del self._lines[place]

    async def _round(self, batch: Sequence[_Writing]) -> None:
        begin = self._inner.begin
        for each in batch:
            each.inner = begin(each.key, *each.command)
        milliseconds = max(1, round(self._patience * 1000))
        wait = begin(batch[0].key, "WAIT", self._count, milliseconds)
        # No deadline: those who wait for their events bring one, and the link notices what is dead.
        await asyncio.wait([wait])
        copies = None if wait.cancelled() else wait.exception() or wait.result()
        for each in batch:
            assert each.inner is not None
            await self._settle(each, each.inner, copies)

    async def _settle(self, future: _Writing, inner: asyncio.Future[Any], copies: Any) -> None:
        # Answers come in order: where WAIT has one, so has this.
        if not inner.done():
            await asyncio.wait([inner])
        if future.done():
            unheard(inner)
        elif inner.cancelled() or inner.exception() is not None:
            future.set_exception(inner.exception() or Unanswered("it was given up"))
        elif isinstance(copies, int) and copies >= self._count:
            future.set_result(inner.result())
        else:
            self.unconfirmed += 1
            future.set_exception(self._shortfall(copies))

    def _shortfall(self, copies: Any) -> Unanswered:
        if isinstance(copies, int):
            why = f"{copies} of {self._count} replicas had it within {self._patience:g} s"
        elif isinstance(copies, Refused):
            why = f"the server does not say how many replicas have it: {copies}"
        else:
            why = f"how many replicas have it is not known: {copies}"
        return Unconfirmed(f"the master has it, {why}")


class Unconfirmed(Unanswered):
    """It was written, and too few replicas had it in time: to send it again would be twice."""


class _Writing(asyncio.Future[Any]):
    """One command that waits for its WAIT."""

    def __init__(self, key: str, command: tuple[Argument, ...]) -> None:
        super().__init__()
        self.key = key
        self.command = command
        self.inner: asyncio.Future[Any] | None = None


def _tag(key: str) -> str:
    return key.partition("{")[2].partition("}")[0]
