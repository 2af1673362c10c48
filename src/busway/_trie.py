"""A trie of patterns whose edges are a segment together with the separator before it.

A topic is walked once, from the left, with the set of nodes that its beginning can lead to. A node
is in that set once, so the time grows with the topic's segments times the patterns alive beside
each other, never with combinations. Edges are found, not tried: literals in a dict, segments with
wildcards in a dict by their literal beginning and end. Only segments that begin and end with the
same literals (or with none) are tried one by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from ._patterns import Rank, Step
from ._segments import Kind, Segment
from ._topics import split_topic

__all__ = ["Key", "Node", "walk"]

T = TypeVar("T")

Key = tuple[Rank, int]
"""Sorts what matched: the rank of the pattern, then the order of adding."""


class Node(Generic[T]):
    __slots__ = ("deep", "entries", "literals", "ones", "partials", "swallows")

    def __init__(self, swallows: bool = False) -> None:
        self.swallows = swallows
        """Whether this is a ``**`` that has swallowed a segment and may swallow more."""
        self.entries: dict[Key, T] = {}
        self.literals: dict[str, Node[T]] = {}
        self.ones: dict[str, Node[T]] = {}
        self.deep: dict[str, Node[T]] = {}
        self.partials: dict[tuple[int, int], dict[tuple[str, str], dict[Step, Node[T]]]] = {}
        """By the lengths of the literal beginning and end, then by these themselves."""

    def at(self, steps: Iterable[Step]) -> Node[T]:
        node = self
        for step in steps:
            node = node._child(step)
        return node

    def _child(self, step: Step) -> Node[T]:
        separator, segment = step
        if segment.kind is Kind.LITERAL:
            return self.literals.setdefault(separator + segment.text, Node())
        if segment.kind is Kind.ONE:
            return self.ones.setdefault(separator, Node())
        if segment.kind is Kind.ANY:
            return self.deep.setdefault(separator, Node(swallows=True))
        ends = separator + segment.prefix, segment.suffix
        same_lengths = self.partials.setdefault((len(ends[0]), len(ends[1])), {})
        return same_lengths.setdefault(ends, {}).setdefault(step, Node())

    def follow(self, token: str, separator: str, reached: set[Node[T]]) -> None:
        """Collect the nodes that one more segment leads to."""
        node = self.literals.get(token)
        if node is not None:
            reached.add(node)
        if self.ones and separator in self.ones:
            reached.add(self.ones[separator])
        if self.partials:
            self._follow_partials(token, separator, reached)
        if self.swallows:
            reached.add(self)
        if self.deep and separator in self.deep:
            deep = self.deep[separator]
            # Swallowing none, what follows the ** stands here, after the same separator. As the
            # node swallows, following it also says that this segment may be swallowed.
            deep.follow(token, separator, reached)

    def _follow_partials(self, token: str, separator: str, reached: set[Node[T]]) -> None:
        text = token[len(separator) :]
        for (start, end), same_lengths in self.partials.items():
            steps = same_lengths.get((token[:start], token[len(token) - end :]))
            if steps is not None:
                reached.update(node for step, node in steps.items() if _fits(step.segment, text))


def _fits(segment: Segment, text: str) -> bool:
    """Whether a segment whose literal beginning and end are there matches the whole text."""
    if segment.regex is None:
        return len(text) >= segment.least
    return segment.regex.fullmatch(text) is not None


def walk(root: Node[T], topic: str, found: dict[Key, T]) -> None:
    """Add the entries of all patterns below ``root`` that match the topic to ``found``."""
    nodes: Iterable[Node[T]] = (root,)
    for token in split_topic(topic):
        separator = token[0] if token[0] in ".:" else ""
        reached: set[Node[T]] = set()
        for node in nodes:
            node.follow(token, separator, reached)
        if not reached:
            return
        nodes = reached
    for node in nodes:
        found.update(node.entries)
        for deep in node.deep.values():  # a ** at the end that swallows none
            found.update(deep.entries)
