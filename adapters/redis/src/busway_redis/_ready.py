"""What is fetched and not handed out yet."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterable, Iterator

from busway.transport import Delivery

from ._source import by_place

__all__ = ["Ready"]


class Ready:
    """Deliveries in the order in which they are handed out: many at once, or one alone.

    A *suspect* was handed out before, by whoever, and never settled: it may have killed the process
    that had it. It is handed out alone, and what is new takes turns with it, so that a heap of
    suspects stalls nobody. In one lane the order is that of the stream: what was given back
    unhandled is new and may be older than a suspect, which waits behind it then.
    """

    __slots__ = ("_lanes", "_turn", "fresh", "suspects")

    def __init__(self) -> None:
        self.fresh: deque[Delivery] = deque()
        self.suspects: deque[Delivery] = deque()
        self._lanes: Counter[Hashable] = Counter()
        """Of suspects."""
        self._turn = True
        """Whether a suspect is next, if there is one."""

    def __len__(self) -> int:
        return len(self.fresh) + len(self.suspects)

    def __iter__(self) -> Iterator[Delivery]:
        yield from self.suspects
        yield from self.fresh

    def taken_over(self, deliveries: Iterable[Delivery]) -> None:
        """These somebody had before."""
        fresh, suspects = list(self.fresh), list(self.suspects)
        for delivery in deliveries:
            if delivery.delivered > 1:
                suspects.append(delivery)
                if delivery.lane is not None:
                    self._lanes[delivery.lane] += 1
            else:
                fresh.append(delivery)
        # The deques stay the same objects: readers hold them.
        for line, more in ((self.fresh, fresh), (self.suspects, suspects)):
            line.clear()
            line.extend(sorted(more, key=by_place))

    def take(self, limit: int) -> list[Delivery]:
        """Some that are new; none when it is a suspect's turn, or nothing else waits."""
        if self.suspects and self._turn:
            return []
        self._turn = True
        fresh = self.fresh
        if not self._lanes:
            return [fresh.popleft() for _ in range(min(limit, len(fresh)))]
        first = _firsts(self.suspects)
        taken: list[Delivery] = []
        kept: list[Delivery] = []
        for delivery in fresh:
            before = first.get(delivery.lane)
            waits = len(taken) == limit or (before is not None and before < by_place(delivery))
            (kept if waits else taken).append(delivery)
        fresh.clear()
        fresh.extend(kept)
        return taken

    def suspect(self) -> Delivery | None:
        """The next suspect that may be handed out; it stays until ``remove``."""
        self._turn = False
        first = _firsts(each for each in self.fresh if each.lane in self._lanes)
        for delivery in self.suspects:
            before = first.get(delivery.lane)
            if before is None or by_place(delivery) < before:
                return delivery
        return None

    def remove(self, delivery: Delivery) -> None:
        """It was handed out, or lost."""
        if delivery.delivered == 1:
            self.fresh.remove(delivery)
            return
        self.suspects.remove(delivery)
        lane = delivery.lane
        if lane is not None:
            self._lanes[lane] -= 1
            if self._lanes[lane] == 0:
                del self._lanes[lane]

    def take_back(self) -> list[Delivery]:
        """All of them."""
        back = list(self)
        self.fresh.clear()
        self.suspects.clear()
        self._lanes.clear()
        return back


def _firsts(deliveries: Iterable[Delivery]) -> dict[Hashable, tuple[int, int]]:
    """Where the first of each lane lies. They come in their order."""
    first: dict[Hashable, tuple[int, int]] = {}
    for delivery in deliveries:
        if delivery.lane is not None and delivery.lane not in first:
            first[delivery.lane] = by_place(delivery)
    return first
