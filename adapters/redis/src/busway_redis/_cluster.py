"""A cluster: each command goes to the node that has its key, and after it when the key moves.

Only what was certainly not executed is sent again: what a node refused (MOVED, ASK, TRYAGAIN,
CLUSTERDOWN), and what was never written. While a slot moves, what is new for it waits until its old
node has answered everything, so that commands stay in the order in which they were begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from busway import TransportError

from ._dial import Dialer
from ._errors import NotSent, Refused
from ._evaluating import evaluated
from ._following import FollowingLink, elsewhere, pause
from ._link import Argument, Link
from ._nodes import FENCE, Nodes
from ._options import Node, Options
from ._scripts import Script
from ._slots import SlotMap, slot_of

__all__ = ["Cluster"]

_KEPT: Final = 10_000
_LATER: Final = 3
"""What a node cannot do now is tried again after a pause at once, not after three tries."""


class _Asked(asyncio.Future[Any]):
    """A command on its way, perhaps to one node after the other."""

    command: tuple[Argument, ...]
    slot: int
    until: float
    tries: int = 0
    over: bool = False
    node: Node | None = None
    link: Link | None = None
    inner: asyncio.Future[Any] | None = None
    trouble: Exception | None = None

    def cancel(self, msg: Any = None) -> bool:
        self._take_back()
        return super().cancel(msg)

    def set_exception(self, exception: type[BaseException] | BaseException, /) -> None:
        super().set_exception(exception)
        self._take_back()

    def _take_back(self) -> None:
        """Nobody waits for it any more: what its node's link has not sent need not be."""
        if self.inner is not None:
            self.inner.cancel()


class Cluster:
    """The masters of a cluster, with one connection to each for commands."""

    one_slot = True

    def __init__(self, dialer: Dialer, options: Options) -> None:
        self._dialer = dialer
        self._timeout = options.timeout
        self._name = options.where
        self._nodes = Nodes(dialer, lambda: self._map, options.timeout)
        self._map = SlotMap(dialer, options.nodes, self._changed)
        self._slots: dict[str, int] = {}
        self._held: dict[int, tuple[list[_Asked], list[_Asked]]] = {}
        """By slot: what came back, and what is new."""
        self._closed = False

    def __repr__(self) -> str:
        return f"<Cluster {self._name}>"

    @property
    def connections(self) -> int:
        return self._nodes.connections

    async def open(self) -> None:
        self._closed = False
        await self._map.open(self._timeout)

    async def close(self) -> None:
        self._closed = True
        await self._map.close()
        await self._nodes.close()
        self._release(list(self._held))

    async def call(self, key: str, /, *command: Argument) -> Any:
        future = self.begin(key, *command)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._timeout, self.give_up, future, self._timeout)
        try:
            return await future
        finally:
            timer.cancel()

    def begin(self, key: str, /, *command: Argument) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        asked = _Asked(loop=loop)
        asked.command, asked.slot = command, self._slot(key)
        asked.until = loop.time() + self._timeout
        held = self._held.get(asked.slot)
        if held is None:
            self._send(asked)
        else:
            held[1].append(asked)
        return asked

    def give_up(self, future: asyncio.Future[Any], after: float, /) -> None:
        if future.done() or not isinstance(future, _Asked):
            return
        future.over = True
        link, inner = future.link, future.inner
        if link is not None and inner is not None and not inner.done():
            link.give_up(inner, after)
        else:
            why = "" if future.trouble is None else f": {future.trouble}"
            future.set_exception(NotSent(f"{self._name}: not served within {after:g} s{why}"))

    async def script(
        self, script: Script, keys: Sequence[str], args: Sequence[Argument] = (), /
    ) -> Any:
        return await evaluated(self.call, script, keys, args)

    def reader(self, key: str, /) -> Link:
        return FollowingLink(
            self._map, slot_of(key), self._dialer.to, timeout=self._timeout, name=self._name
        )

    async def everywhere(self, *command: Argument) -> list[Any]:
        masters = sorted(self._map.masters)
        return [await self._nodes.link(node).call(*command) for node in masters]

    # --- sending ----------------------------------------------------------------------------------

    def _slot(self, key: str) -> int:
        slot = self._slots.get(key)
        if slot is None:
            if len(self._slots) >= _KEPT:
                self._slots.clear()
            slot = self._slots[key] = slot_of(key)
        return slot

    def _send(self, asked: _Asked) -> None:
        node = self._map.owners[asked.slot]
        if self._closed:
            asked.set_exception(NotSent(f"{self._name}: the connection was closed"))
        elif node is None:
            self._map.refresh_soon()
            asked.tries += 1
            asked.trouble = NotSent(f"no node has slot {asked.slot}")
            self._hold(asked, pause(asked.tries + _LATER))
        else:
            self._send_to(node, asked)

    def _send_to(self, node: Node, asked: _Asked) -> None:
        link = self._nodes.link(node)
        inner = link.begin(*asked.command)
        asked.node, asked.link, asked.inner = node, link, inner
        inner.add_done_callback(lambda inner: self._answered(asked, inner))

    def _answered(self, asked: _Asked, inner: asyncio.Future[Any]) -> None:
        if inner.cancelled():
            return  # and so is what was asked
        error = inner.exception()
        if asked.done():
            return
        if error is None:
            asked.set_result(inner.result())
        elif not isinstance(error, TransportError) or not self._goes_on(asked, error):
            asked.set_exception(error)

    def _goes_on(self, asked: _Asked, error: TransportError) -> bool:
        """Whether a command that failed is sent again: it was not executed, and there is time."""
        asked.tries += 1
        asked.trouble = error
        late = asyncio.get_running_loop().time() >= asked.until
        if asked.over or late or self._closed:
            return False
        if isinstance(error, NotSent):
            if error.retryable:
                self._hold(asked, pause(asked.tries))
            return error.retryable
        return isinstance(error, Refused) and self._follows(asked, error)

    def _follows(self, asked: _Asked, error: Refused) -> bool:
        place = elsewhere(error, asked.node)
        wait = pause(asked.tries)
        if place is not None and error.code == "ASK" and not wait:
            allowed = self._nodes.link(place[1]).begin("ASKING")
            allowed.add_done_callback(lambda allowed: allowed.exception())
            self._send_to(place[1], asked)
        elif place is not None:
            if error.code == "MOVED" and not wait:
                self._map.point(*place)
            # Two nodes that each name the other are waited for.
            self._map.refresh_soon()
            self._hold(asked, wait, asked.node)
        elif error.code in ("TRYAGAIN", "CLUSTERDOWN"):
            self._map.refresh_soon()
            self._hold(asked, pause(asked.tries + _LATER), asked.node)
        else:
            return False
        return True

    # --- keeping the order ------------------------------------------------------------------------

    def _hold(self, asked: _Asked, wait: float, behind: Node | None = None) -> None:
        """Send it again after a pause, before what is newer for its slot."""
        held = self._held.get(asked.slot)
        if held is not None:
            held[0].append(asked)
            return
        self._held[asked.slot] = ([asked], [])
        self._release_behind(behind, [asked.slot], wait)

    def _changed(self, before: Mapping[int, Node]) -> None:
        """Slots have other nodes. What the old ones are asked already comes back first."""
        used = set(self._slots.values())
        by_node: dict[Node, list[int]] = {}
        for slot, node in before.items():
            if slot in used and slot not in self._held and node in self._nodes:
                self._held[slot] = ([], [])
                by_node.setdefault(node, []).append(slot)
        for node, slots in by_node.items():
            self._release_behind(node, slots, 0.0)
        self._nodes.keep(self._map.masters)

    def _release_behind(self, node: Node | None, slots: list[int], wait: float) -> None:
        """Answers come in order: when this one is here, so are those to all that was sent."""
        loop = asyncio.get_running_loop()
        if node is None or node not in self._nodes:
            loop.call_later(wait, self._release, slots)
            return
        over = False

        def answered(fence: asyncio.Future[Any] | None = None) -> None:
            nonlocal over
            if fence is not None:
                fence.exception()
            if not over:
                over = True
                timer.cancel()
                loop.call_later(wait, self._release, slots)

        timer = loop.call_later(FENCE, answered)
        self._nodes.link(node).begin("PING").add_done_callback(answered)

    def _release(self, slots: Iterable[int]) -> None:
        for slot in slots:
            returned, new = self._held.pop(slot, ((), ()))
            for asked in (*returned, *new):
                if not asked.done():
                    self._send(asked)
