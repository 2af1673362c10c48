"""One connection for commands to each node of a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from busway import TransportError

from ._dial import Bare, Dial, Dialer
from ._errors import NotSent
from ._link import Link
from ._options import Node
from ._slots import SlotMap

__all__ = ["FENCE", "Nodes"]

FENCE: Final = 1.0
"""Seconds that an old node has for answering what it was asked, before nobody waits for it."""


class Nodes:
    """Links by node, made when they are needed."""

    def __init__(self, dialer: Dialer, slots: Callable[[], SlotMap], timeout: float) -> None:
        self._dialer = dialer
        self._slots = slots
        self._timeout = timeout
        self._links: dict[Node, Link] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._before = 0

    @property
    def connections(self) -> int:
        return self._before + sum(link.connections for link in self._links.values())

    def __contains__(self, node: Node) -> bool:
        return node in self._links

    def link(self, node: Node) -> Link:
        link = self._links.get(node)
        if link is None:
            dial = self._dial(node)
            link = self._links[node] = Link(dial, timeout=self._timeout, name=str(node))
        return link

    def keep(self, masters: set[Node]) -> None:
        """Leave those that are none of these, when they have answered what they were asked."""
        for node in [node for node in self._links if node not in masters]:
            link = self._links.pop(node)
            task = asyncio.get_running_loop().create_task(self._retire(link))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        for task in self._retiring:
            task.cancel()
        if self._retiring:
            await asyncio.wait(self._retiring)
        links, self._links = self._links, {}
        for link in links.values():
            self._before += link.connections
            await link.close()

    def _dial(self, node: Node) -> Dial:
        to = self._dialer.to(node)

        async def dial() -> Bare:
            try:
                return await to()
            except NotSent:
                # Another may have taken over; then this link is left, and what waits goes there.
                await self._slots().refreshed()
                raise

        return dial

    async def _retire(self, link: Link) -> None:
        try:
            # Answers come in order: this is the last.
            await link.call("PING", timeout=FENCE)
        except TransportError:
            pass  # whoever waits for it hears it from the link
        finally:
            self._before += link.connections
            await link.close()
