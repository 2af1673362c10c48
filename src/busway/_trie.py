"""A trie of patterns whose edges are a segment together with the separator before it.

A topic is walked once, from the left, with the set of nodes that its beginning can lead to. A node
is in that set once, so the time grows with the topic's segments times the patterns alive beside
each other, never with combinations. Edges are found, not tried: literals in a dict, segments with
wildcards in a dict by their literal beginning and end. Only segments that begin and end with the
same literals (or with none) are tried one by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeAlias, TypeVar

from ._patterns import Rank, Step
from ._segments import Kind, Segment
from ._topics import split_topic

__all__ = ["Key", "Node", "walk"]

T = TypeVar("T")

Key = tuple[Rank, int]
"""Sorts what matched: the rank of the pattern, then the order of adding."""

_Partials: TypeAlias = "dict[tuple[int, int], dict[tuple[str, str], dict[Step, Node[T]]]]"


class Node(Generic[T]):
    """Where the beginnings of some topics lead. A kind of edge that it lacks is None: looking at
    thousands of empty dicts would miss the processor's cache each time."""

    __slots__ = ("deep", "entries", "literals", "ones", "partials", "swallows")

    def __init__(self, swallows: bool = False) -> None:
        self.swallows = swallows
        """Whether this is a ``**`` that has swallowed a segment and may swallow more."""
        self.entries: dict[Key, T] | None = None
        self.literals: dict[str, Node[T]] | None = None
        self.ones: dict[str, Node[T]] | None = None
        self.deep: dict[str, Node[T]] | None = None
        self.partials: _Partials[T] | None = None
        """By the lengths of the literal beginning and end, then by these themselves."""

    def entries_at(self, steps: Iterable[Step]) -> dict[Key, T]:
        """The entries where the steps lead; what is missing on the way is made."""
        node = self
        for step in steps:
            node = node._child(step)
        if node.entries is None:
            node.entries = {}
        return node.entries

    def _child(self, step: Step) -> Node[T]:
        separator, segment = step
        if segment.kind is Kind.LITERAL:
            self.literals = self.literals or {}
            return self.literals.setdefault(separator + segment.text, Node())
        if segment.kind is Kind.ONE:
            self.ones = self.ones or {}
            return self.ones.setdefault(separator, Node())
        if segment.kind is Kind.ANY:
            self.deep = self.deep or {}
            return self.deep.setdefault(separator, Node(swallows=True))
        self.partials = self.partials or {}
        ends = separator + segment.prefix, segment.suffix
        same_lengths = self.partials.setdefault((len(ends[0]), len(ends[1])), {})
        return same_lengths.setdefault(ends, {}).setdefault(step, Node())

    def follow(self, token: str, separator: str, reached: set[Node[T]]) -> None:
        """Collect the nodes that one more segment leads to."""
        if self.literals is not None and token in self.literals:
            reached.add(self.literals[token])
        if self.ones is not None and separator in self.ones:
            reached.add(self.ones[separator])
        if self.partials is not None:
            _follow_partials(self.partials, token, separator, reached)
        if self.swallows:
            reached.add(self)
        if self.deep is not None and separator in self.deep:
            # Swallowing none, what follows the ** stands here, after the same separator. As the
            # node swallows, following it also says that this segment may be swallowed.
            self.deep[separator].follow(token, separator, reached)


def _follow_partials(
    partials: _Partials[T], token: str, separator: str, reached: set[Node[T]]
) -> None:
    for (start, end), same_lengths in partials.items():
        steps = same_lengths.get((token[:start], token[len(token) - end :]))
        if steps is not None:
            text = token[len(separator) :]
            reached.update([node for step, node in steps.items() if _fits(step.segment, text)])


def _fits(segment: Segment, text: str) -> bool:
    """Whether a segment whose literal beginning and end are there matches the whole text."""
    if segment.regex is None:
        return len(text) >= segment.least
    return segment.regex.fullmatch(text) is not None


def walk(root: Node[T], topic: str) -> list[tuple[Key, T]]:
    """The entries of all patterns below ``root`` that match the topic; some may stand twice."""
    nodes: Iterable[Node[T]] = (root,)
    for token in split_topic(topic):
        separator = token[0] if token[0] in ".:" else ""
        reached: set[Node[T]] = set()
        for node in nodes:
            node.follow(token, separator, reached)
        nodes = reached
    found: list[tuple[Key, T]] = []
    for node in nodes:
        if node.entries is not None:
            found += node.entries.items()
        if node.deep is not None:
            for deep in node.deep.values():  # a ** at the end that swallows none
                found += (deep.entries or {}).items()
    return found
