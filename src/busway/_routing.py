"""From a topic to what was registered for it: a trie of segments and a bounded cache.

Which pattern is more specific is defined in ``_patterns``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import lru_cache
from operator import itemgetter
from typing import Any, Generic, TypeVar

from ._patterns import Pattern, Step, read_pattern
from ._segments import Kind
from ._topics import MAX_TOPIC
from ._trie import Key, Node, walk

__all__ = ["Router", "matcher", "matches"]

T = TypeVar("T", bound=Hashable)
V = TypeVar("V")

_key: Callable[[tuple[Key, Any]], Key] = itemgetter(0)
_value: Callable[[tuple[Key, Any]], Any] = itemgetter(1)


class Router(Generic[T]):
    """Values by pattern. Used from one thread.

    Topics are not checked here: what came off a wire is looked up as it is. A malformed topic
    matches ``*`` and ``**``, and may match others.
    """

    __slots__ = (
        "_added",
        "_best",
        "_everything",
        "_matches",
        "_next",
        "_root",
        "_stale",
        "best_cache",
        "cache",
    )

    def __init__(self, topics: int = 10_000) -> None:
        """``topics`` is how many distinct topics ``match`` and ``best`` each remember at most."""
        self._matches: _Recent[tuple[T, ...]] = _Recent(topics)
        self._best: _Recent[tuple[T, ...]] = _Recent(topics)
        self.cache: dict[str, tuple[T, ...]] = self._matches.young
        """What ``match`` returned for recent topics; the same dict for the router's life. A topic
        that is not in it is to be asked of ``match``."""
        self.best_cache: dict[str, tuple[T, ...]] = self._best.young
        """The same for ``best``."""
        self._added: dict[tuple[str, T], int] = {}
        self._next = 0
        self._start()

    def _start(self) -> None:
        self._root: Node[T] = Node()
        self._everything: dict[Key, T] = {}
        self._stale = 0

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns as they were written, each once, in the order of adding."""
        return tuple(dict.fromkeys(pattern for pattern, _ in self._added))

    def add(self, pattern: str, value: T) -> None:
        """Register a value. Adding the same pair twice changes nothing.

        Raises ``PatternError`` when the pattern is malformed.
        """
        parsed = read_pattern(pattern)
        if (pattern, value) in self._added:
            return
        self._added[pattern, value] = order = self._next
        self._next += 1
        self._insert(parsed, order, value)
        self._forget()

    def remove(self, pattern: str, value: T) -> None:
        """Take a registration back. Taking back what is not there changes nothing."""
        order = self._added.pop((pattern, value), None)
        if order is None:
            return
        for one in read_pattern(pattern):
            for entries in self._places(one):
                entries.pop((one.rank, order), None)
        self._stale += 1
        if self._stale > 64 and self._stale > len(self._added):
            self._rebuild()  # empty branches go, at a cost that the removals have earned
        self._forget()

    def match(self, topic: str) -> tuple[T, ...]:
        """The values of all patterns that match: the most specific first, ties in order of adding.

        A value stands where its most specific pattern puts it, once.
        """
        known = self.cache.get(topic)
        if known is not None:
            return known
        known = self._matches.older.get(topic)
        if known is None:
            known = _values(self._walk(topic))
        return self._matches.keep(topic, known)

    def best(self, topic: str) -> tuple[T, ...]:
        """The values of the most specific pattern that matches and of those that tie with it."""
        known = self.best_cache.get(topic)
        if known is not None:
            return known
        known = self._best.older.get(topic)
        if known is None:
            found = self._walk(topic)
            known = _values([entry for entry in found if entry[0][0] == found[0][0][0]])
        return self._best.keep(topic, known)

    def _walk(self, topic: str) -> list[tuple[Key, T]]:
        found = walk(self._root, topic)
        found += self._everything.items()
        if len(found) > 1:
            found.sort(key=_key)
        return found

    def _insert(self, parsed: tuple[Pattern, ...], order: int, value: T) -> None:
        for one in parsed:
            for entries in self._places(one):
                entries[one.rank, order] = value

    def _places(self, pattern: Pattern) -> list[dict[Key, T]]:
        """Where a pattern's entries lie; what is missing on the way is made."""
        if pattern.everything:
            return [self._everything]
        first, *rest = pattern.steps
        if first.segment.kind is not Kind.ANY:
            return [self._root.entries_at(pattern.steps)]
        # A leading ** that swallows none takes the separator after it along.
        without = (Step("", rest[0].segment), *rest[1:])
        return [self._root.entries_at(pattern.steps), self._root.entries_at(without)]

    def _rebuild(self) -> None:
        self._start()
        for (pattern, value), order in self._added.items():
            self._insert(read_pattern(pattern), order, value)

    def _forget(self) -> None:
        self._matches.clear()
        self._best.clear()


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """A function that says whether a topic matches one of the patterns; of none, no topic does.

    Raises ``PatternError`` when one is malformed.
    """
    router: Router[bool] = Router()
    for pattern in patterns:
        router.add(pattern, True)
    match = router.match
    return lambda topic: bool(match(topic))


def matches(pattern: str, topic: str) -> bool:
    """Whether a subscription to this pattern gets this topic.

    Raises ``PatternError`` when the pattern is malformed.
    """
    return _matcher(pattern)(topic)


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> Callable[[str], bool]:
    return matcher((pattern,))


def _values(found: list[tuple[Key, T]]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(map(_value, found)))


class _Recent(Generic[V]):
    """What was found for recent topics: two generations, together never more than ``most``,
    which is 2 or more.

    When the younger one has grown to half of it, it becomes the older one, and what was in that is
    forgotten. Reading a younger entry costs one dict lookup and no bookkeeping.
    """

    __slots__ = ("half", "older", "young")

    def __init__(self, most: int) -> None:
        self.half = max(1, most // 2)
        self.young: dict[str, V] = {}
        self.older: dict[str, V] = {}

    def keep(self, topic: str, value: V) -> V:
        if len(topic) > MAX_TOPIC:  # nobody could publish it here, and it may be of any size
            return value
        if len(self.young) >= self.half:
            self.older = self.young.copy()
            self.young.clear()
        self.young[topic] = value
        return value

    def clear(self) -> None:
        self.young.clear()
        self.older.clear()
