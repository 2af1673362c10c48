"""Which handler of a group takes a topic: the most specific pattern's; equals take turns."""

from __future__ import annotations

from ._handling import Handling
from ._routing import Router

__all__ = ["Routes"]

_TOPICS_KEPT = 10_000


class Routes:
    """One group's handlers by topic."""

    def __init__(self) -> None:
        self._router: Router[Handling] = Router()
        self._turns: dict[str, int] = {}
        self._only: Handling | None = None
        self.cache: dict[str, Handling] = {}
        """The handler of recent topics that have exactly one; the same dict for good."""

    @property
    def patterns(self) -> tuple[str, ...]:
        return self._router.patterns

    def add(self, handling: Handling) -> None:
        for pattern in handling.patterns:
            self._router.add(pattern, handling)
        self._only = handling
        self._forget()

    def remove(self, handling: Handling) -> None:
        for pattern in handling.patterns:
            self._router.remove(pattern, handling)
        if self._only is handling:
            self._only = None
        self._forget()

    def find_any(self) -> Handling | None:
        """The handler of a group that has only one."""
        return self._only

    def takers(self, topic: str) -> tuple[Handling, ...]:
        """The handlers that take turns at a topic."""
        return self._router.best(topic)

    def find(self, topic: str) -> Handling | None:
        """The handler whose turn it is, if any matches."""
        known = self.cache.get(topic)
        if known is not None:
            return known
        found = self._router.best(topic)
        if len(found) == 1:
            if len(self.cache) >= _TOPICS_KEPT:
                self.cache.clear()
            self.cache[topic] = found[0]
        if len(found) < 2:
            return found[0] if found else None
        if len(self._turns) >= _TOPICS_KEPT:
            self._turns.clear()
        turn = self._turns.get(topic, 0)
        self._turns[topic] = turn + 1
        return found[turn % len(found)]

    def _forget(self) -> None:
        self.cache.clear()
        self._turns.clear()
