"""Which node of a cluster has which slot."""

from __future__ import annotations

import asyncio
import random
from binascii import crc_hqx
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from redis.exceptions import RedisError

from ._dial import Dialer, asked
from ._errors import NotSent, refused, unreachable
from ._options import Node

__all__ = ["SLOTS", "SlotMap", "slot_of"]

SLOTS: Final = 16_384

_AT_ONCE: Final = 3
_PAUSE: Final = 0.1
_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 1.0


def slot_of(key: str) -> int:
    """The slot of a key: of what stands in its first braces, if anything does (Redis Cluster
    specification, "Hash tags")."""
    data = key.encode()
    begin = data.find(b"{")
    if begin >= 0:
        end = data.find(b"}", begin + 1)
        if end > begin + 1:
            data = data[begin + 1 : end]
    return crc_hqx(data, 0) % SLOTS


class SlotMap:
    """Learned from any node that answers, corrected by those that refuse.

    ``changed`` is called with the nodes that had slots before: slot -> node.
    """

    def __init__(
        self,
        dialer: Dialer,
        seeds: Sequence[Node],
        changed: Callable[[Mapping[int, Node]], None],
    ) -> None:
        self._dialer = dialer
        self._seeds = tuple(seeds)
        self._changed = changed
        self._known = set(seeds)
        self._loading: asyncio.Task[None] | None = None
        self._loaded_at = float("-inf")
        self._closed = False
        self.owners: list[Node | None] = [None] * SLOTS

    @property
    def masters(self) -> set[Node]:
        """Those that have slots."""
        return {each for each in self.owners if each is not None}

    async def open(self, timeout: float) -> None:
        """Ask until somebody answers. Raises NotSent."""
        self._closed = False
        wait, trouble = _FIRST_WAIT, NotSent("no node was asked")
        try:
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        await self._load()
                        return
                    except NotSent as error:
                        if not error.retryable:
                            raise
                        trouble = error
                    await asyncio.sleep(wait)
                    wait = min(_LONGEST_WAIT, 2 * wait)
        except TimeoutError:
            raise NotSent(f"no node of the cluster within {timeout:g} s: {trouble}") from None

    def point(self, slot: int, node: Node) -> None:
        """A node says that another has a slot."""
        self._adopt({slot: node})
        self.refresh_soon()

    def refresh_soon(self) -> None:
        """Ask again, if that was not done just now."""
        loop = asyncio.get_running_loop()
        if self._closed:
            return
        if self._loading is None and loop.time() - self._loaded_at >= _PAUSE:
            self._loading = loop.create_task(self._refresh())

    async def refreshed(self) -> None:
        """When somebody was asked again, whatever came of it."""
        self.refresh_soon()
        if self._loading is not None:
            await asyncio.wait([self._loading])

    async def close(self) -> None:
        self._closed = True
        loading = self._loading
        if loading is not None:
            loading.cancel()
            await asyncio.wait([loading])

    async def _refresh(self) -> None:
        try:
            await self._load()
        except NotSent:
            pass  # what is known stays; who needs more asks again
        finally:
            self._loading = None
            self._loaded_at = asyncio.get_running_loop().time()

    async def _load(self) -> None:
        """Ask some nodes at once, so that one that hangs costs no time, then others."""
        order = random.sample(sorted(self._known), len(self._known))
        order += [seed for seed in self._seeds if seed not in self._known]
        trouble: NotSent | None = None
        for begin in range(0, len(order), _AT_ONCE):
            try:
                return self._take(*await self._first(order[begin : begin + _AT_ONCE]))
            except NotSent as error:
                trouble = error
        raise trouble or NotSent("no node is known")

    async def _first(self, nodes: Sequence[Node]) -> tuple[Node, Any]:
        asking = [asyncio.create_task(self._ask(each)) for each in nodes]
        trouble: NotSent | None = None
        try:
            for each in asyncio.as_completed(asking):
                try:
                    return await each
                except NotSent as error:
                    trouble = error
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        raise trouble or NotSent("no node was asked")

    async def _ask(self, node: Node) -> tuple[Node, Any]:
        connection = await self._dialer.to(node)()
        try:
            answer = await asked(connection, "CLUSTER", "SLOTS", timeout=self._dialer.timeout)
        except (RedisError, OSError) as error:
            failure = unreachable(str(node), error)
            if isinstance(error, RedisError) and "cluster support disabled" in str(error):
                alone = f"{node}: it is no cluster: use redis://. {refused(error)}"
                failure = NotSent(alone, retryable=False)
            raise failure from failure.__cause__
        finally:
            await connection.disconnect(nowait=True)
        if not answer:
            raise NotSent(f"{node}: it knows of no slots yet")
        return node, answer

    def _take(self, asked: Node, answer: Any) -> None:
        """The whole map. A slot that nobody names now stays where it was."""
        found: dict[int, Node] = {}
        known = set[Node]()
        for first, last, *nodes in answer:
            named = list(_nodes(nodes, asked))
            known.update(named)
            found.update(dict.fromkeys(range(first, last + 1), named[0]))
        self._known = known
        self._adopt(found)

    def _adopt(self, found: Mapping[int, Node]) -> None:
        owners, before = self.owners, dict[int, Node]()
        for slot, node in found.items():
            old = owners[slot]
            if old != node:
                owners[slot] = node
                if old is not None:
                    before[slot] = old
        if before:
            self._changed(before)


def _nodes(nodes: Sequence[Any], asked: Node) -> Iterator[Node]:
    for host, port, *_ in nodes:
        # A node that does not know its own name means the one it was asked by.
        named = host.decode() if host and host != b"?" else asked.host
        yield Node(named, int(port))
