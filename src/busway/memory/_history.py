"""The last events, for groups that begin later."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime

import msgspec

from ..message import Envelope
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
        moment = _moment(start)
        return [kept.item for kept in self._kept if kept.sent >= moment]

    def lacks(self, start: Start) -> Callable[[Envelope], bool]:
        """Whether an event that waits for a group is not kept here, and would have to be handed out
        to one that starts there: what is older than all that is kept may have been sent then."""
        if start == "latest" or (self._kept and _moment(start) > self._kept[0].sent):
            return lambda event: False
        kept = {id(each.item.content) for each in self._kept}
        return lambda event: id(event) not in kept

    def addresses(self) -> list[Address]:
        return list(dict.fromkeys(kept.item.address for kept in self._kept))

    def read(self, address: Address, after: str | None) -> Iterator[Browsed]:
        for kept in list(self._kept):
            if kept.item.address == address and (after is None or kept.position > after):
                yield Browsed(kept.position, kept.item.content)


def _moment(start: Start) -> float:
    return start.timestamp() if isinstance(start, datetime) else float("-inf")
