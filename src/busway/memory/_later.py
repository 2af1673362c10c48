"""What is held until its time."""

from __future__ import annotations

import heapq
from itertools import count

import msgspec

from ..transport import Delivery, Outgoing
from ._mailbox import Mailbox

__all__ = ["Held", "Later"]


class Held(msgspec.Struct, order=True):
    """Something with a time: an event for everybody, or a delivery for one group."""

    due: float
    order: int
    item: Outgoing | None = None
    box: Mailbox | None = None
    delivery: Delivery | None = None

    @property
    def group(self) -> str | None:
        if self.item is not None:
            return self.item.address.group
        return None if self.box is None else self.box.name


class Later:
    """A heap: what is due first comes first, and of one moment what was put in first."""

    def __init__(self) -> None:
        self.heap: list[Held] = []
        """The same list for good. Its first is due next."""
        self._order = count()

    def send(self, item: Outgoing, due: float) -> bool:
        """Send it then; whether it is the next one now."""
        return self._put(Held(due, next(self._order), item))

    def deliver(self, delivery: Delivery, box: Mailbox, due: float) -> bool:
        """Deliver it then; whether it is the next one now."""
        return self._put(Held(due, next(self._order), None, box, delivery))

    def _put(self, held: Held) -> bool:
        heapq.heappush(self.heap, held)
        return self.heap[0] is held

    def pop(self, now: float) -> Held | None:
        """The first, if it is due."""
        if self.heap and self.heap[0].due <= now:
            return heapq.heappop(self.heap)
        return None

    def moments(self, group: str) -> list[float]:
        """When what is held for a group is due, in no order."""
        return [held.due for held in self.heap if held.group == group]

    def forget(self, group: str) -> None:
        """Whatever is held for it."""
        self.heap[:] = [held for held in self.heap if held.group != group]
        heapq.heapify(self.heap)
