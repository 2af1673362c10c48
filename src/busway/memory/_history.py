"""The last events, for groups that begin later."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec

from ..transport import Address, Browsed, Outgoing, Start

__all__ = ["History"]


class _Kept(msgspec.Struct, frozen=True):
    position: str
    sent: float
    item: Outgoing


class History:
    """At most ``bound`` events in the order they were sent; 0 keeps none."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._kept: deque[_Kept] = deque(maxlen=bound)
        self._written = 0

    def add(self, item: Outgoing, now: float) -> None:
        if self.bound:
            self._written += 1
            self._kept.append(_Kept(f"{self._written:016d}", now, item))

    def since(self, start: Start) -> list[Outgoing]:
        """What a group that starts there has still to get."""
        if start == "latest":
            return []
        moment = float("-inf") if isinstance(start, str) else start.timestamp()
        return [kept.item for kept in self._kept if kept.sent >= moment]

    def addresses(self) -> list[Address]:
        return list(dict.fromkeys(kept.item.address for kept in self._kept))

    def read(self, address: Address, after: str | None) -> Iterator[Browsed]:
        for kept in list(self._kept):
            if kept.item.address == address and (after is None or kept.position > after):
                yield Browsed(kept.position, kept.item.content)
