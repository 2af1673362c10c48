"""Following a key through a cluster: what its nodes say about where it is, and a reader that goes
there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final

from ._dial import Bare, Dial
from ._errors import NotSent, Refused
from ._link import Argument, Link
from ._options import Node
from ._renewing import RenewingLink
from ._slots import SlotMap

__all__ = ["FollowingLink", "elsewhere", "pause"]

_FIRST_WAIT: Final = 0.02
_LONGEST_WAIT: Final = 0.5
_AT_ONCE: Final = 3


def elsewhere(error: Refused, asked: Node | None) -> tuple[int, Node] | None:
    """The slot and the node that MOVED or ASK names."""
    words = error.said.split()
    if error.code not in ("MOVED", "ASK") or len(words) != 2:
        return None
    host, _, port = words[1].rpartition(":")
    if not host:
        # A node that does not know its own name means the one it was asked by.
        host = "" if asked is None else asked.host
    return int(words[0]), Node(host, int(port))


def pause(tries: int) -> float:
    """Seconds before a command goes out again for the n-th time."""
    if tries < _AT_ONCE:
        return 0.0
    wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(tries - _AT_ONCE, 10))
    return wait * (0.5 + random.random() / 2)


class FollowingLink(RenewingLink):
    """A link to whichever node has a slot, for one command at a time."""

    def __init__(
        self, slots: SlotMap, slot: int, to: Callable[[Node], Dial], *, timeout: float, name: str
    ) -> None:
        super().__init__(self._connect, timeout=timeout, name=name)
        self._slots = slots
        self._slot = slot
        self._to = to
        self._limit = timeout
        self._node: Node | None = None
        self._asking: dict[Node, Link] = {}

    async def call(self, *command: Argument, timeout: float | None = None) -> Any:
        loop = asyncio.get_running_loop()
        until = loop.time() + (self._limit if timeout is None else timeout)
        tries, target = 0, None
        while True:
            rest = max(0.0, until - loop.time())
            try:
                if target is not None:
                    return await self._ask(target, command, rest)
                return await super().call(*command, timeout=rest)
            except Refused as error:
                place = elsewhere(error, target or self._node)
                if place is None and error.code not in ("TRYAGAIN", "CLUSTERDOWN"):
                    raise
                tries += 1
                wait = pause(tries if place is not None else tries + _AT_ONCE)
                if loop.time() + wait >= until:
                    raise
                target = place[1] if place is not None and error.code == "ASK" else None
                await self._moved(place, error.code)
            await asyncio.sleep(wait)

    async def close(self) -> None:
        asking, self._asking = self._asking, {}
        for link in asking.values():
            await link.close()
        await super().close()

    async def _moved(self, place: tuple[int, Node] | None, code: str) -> None:
        if place is not None and code == "MOVED":
            self._slots.point(*place)
            await self.renew()
        else:
            self._slots.refresh_soon()

    async def _ask(self, node: Node, command: tuple[Argument, ...], limit: float) -> Any:
        """At the node that the slot is on its way to, which must be told that one knows."""
        link = self._asking.get(node)
        if link is None:
            link = self._asking[node] = Link(self._to(node), timeout=self._limit, name=str(node))
        allowed = link.begin("ASKING")
        allowed.add_done_callback(_heard)
        return await link.call(*command, timeout=limit)

    async def _connect(self) -> Bare:
        node = self._slots.owners[self._slot]
        if node is None:
            await self._slots.refreshed()
            raise NotSent(f"{self.name}: no node has slot {self._slot}")
        self._node = node
        try:
            return await self._to(node)()
        except NotSent:
            await self._slots.refreshed()
            raise


def _heard(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
