"""Which channel a topic lies in: a pure function of the topic and of what was configured.

1. The most specific pattern of the overrides that matches the topic names its channel; of two that
   tie, the one given first.
2. ``@event(topic, channel=…)`` is an override for exactly that topic. It is more specific than any
   wildcard; an override of the bus for the same topic, letter for letter, goes before it.
3. Else the channel is the topic's first segment: events of one thing stay in one channel, in order.
4. A topic of a single segment lies in ``events``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ._patterns import Pattern, Rank, Step, read_pattern
from ._routing import Router
from ._segments import Kind, Segment
from ._topics import check_topic, split_topic
from .errors import OptionError, TopicError

__all__ = ["DEFAULT_CHANNEL", "Channels", "channels_of", "meet"]

DEFAULT_CHANNEL: Final = "events"
"""Where topics of a single segment lie."""


class Channels:
    """Channels by topic."""

    __slots__ = ("_given", "_of", "_router")

    def __init__(self, overrides: Mapping[str, str] | None = None) -> None:
        """Raises ``PatternError`` for a malformed pattern, ``OptionError`` for a channel name."""
        self._given: dict[str, str] = {}
        self._router: Router[str] = Router()
        self._of = self._router.cache
        for pattern, channel in (overrides or {}).items():
            self._add(pattern, channel, f"channels={{{pattern!r}: {channel!r}}}")

    def _add(self, pattern: str, channel: str, where: str) -> None:
        try:
            check_topic(channel)
        except TopicError as error:
            raise OptionError(
                f"{where}: the name of a channel follows a topic's rules; {error}"
            ) from error
        self._router.add(pattern, channel)
        self._given[pattern] = channel

    def declare(self, topic: str, channel: str) -> None:
        """Take note of ``@event(topic, channel=channel)``. The bus's own override for the very
        topic stays. Raises ``TopicError`` or ``OptionError``."""
        check_topic(topic)
        if topic not in self._given:
            self._add(topic, channel, f"@event({topic!r}, channel={channel!r})")

    @property
    def overrides(self) -> Mapping[str, str]:
        """What was given and declared: channels by pattern."""
        return self._given

    def of(self, topic: str) -> str:
        """The channel of a topic."""
        found = self._of.get(topic)
        if found is None:
            found = self._router.match(topic)
        return found[0] if found else _default(topic)

    def holding(self, patterns: Iterable[str]) -> frozenset[str] | None:
        """The same as ``channels_of`` with what was given and declared so far."""
        return channels_of(patterns, self._given)


def channels_of(patterns: Iterable[str], overrides: Mapping[str, str]) -> frozenset[str] | None:
    """The channels that topics of the patterns can lie in; None when that cannot be told.

    None is missing. There may be one too many where patterns with wildcards meet only in part.
    """
    ranked: list[tuple[Rank, int, Pattern, str]] = sorted(
        (one.rank, order, one, channel)
        for order, (pattern, channel) in enumerate(overrides.items())
        for one in read_pattern(pattern)
    )
    found: set[str] = set()
    for pattern in patterns:
        for one in read_pattern(pattern):
            channels = _channels(one, [(other, channel) for _, _, other, channel in ranked])
            if channels is None:
                return None
            found |= channels
    return frozenset(found)


def meet(pattern: str, others: Iterable[str]) -> bool:
    """Whether some topic may match this pattern and one of the others; True when in doubt.

    Raises ``PatternError``.
    """
    mine = read_pattern(pattern)
    theirs = [one for other in others for one in read_pattern(other)]
    return any(_overlap(one.steps, other.steps) for one in mine for other in theirs)


def _channels(pattern: Pattern, ranked: list[tuple[Pattern, str]]) -> set[str] | None:
    found: set[str] = set()
    for other, channel in ranked:
        if _overlap(pattern.steps, other.steps):
            found.add(channel)
            if _covers(other.steps, pattern.steps):
                return found  # nothing less specific is ever asked
    defaults = _defaults(pattern)
    return None if defaults is None else found | defaults


def _default(topic: str) -> str:
    tokens = split_topic(topic)
    return tokens[0] if len(tokens) > 1 else DEFAULT_CHANNEL


def _defaults(pattern: Pattern) -> set[str] | None:
    first, *rest = (step.segment for step in pattern.steps)
    single: set[str] = set() if any(s.kind is not Kind.ANY for s in rest) else {DEFAULT_CHANNEL}
    if first.kind is Kind.ANY:
        return None
    if not rest:
        return single
    return single | {first.text} if first.kind is Kind.LITERAL else None


def _overlap(one: tuple[Step, ...], other: tuple[Step, ...]) -> bool:
    """Whether some topic may match both; True when in doubt."""
    for mine, theirs in zip(one, other, strict=False):
        if Kind.ANY in (mine.segment.kind, theirs.segment.kind):
            both = mine.segment.kind is theirs.segment.kind
            return both or mine.separator == theirs.separator
        if mine.separator != theirs.separator or not _meet(mine.segment, theirs.segment):
            return False
    longer = max(one, other, key=len)[min(len(one), len(other)) :]
    return not longer or (len(longer) == 1 and longer[0].segment.kind is Kind.ANY)


def _meet(one: Segment, other: Segment) -> bool:
    if one.kind is Kind.LITERAL:
        return other.matches(one.text)
    if other.kind is Kind.LITERAL:
        return one.matches(other.text)
    starts = sorted((one.prefix, other.prefix), key=len)
    ends = sorted((one.suffix, other.suffix), key=len)
    return starts[1].startswith(starts[0]) and ends[1].endswith(ends[0])


def _covers(one: tuple[Step, ...], other: tuple[Step, ...]) -> bool:
    """Whether one surely matches whatever the other matches; False when in doubt."""
    if one == other:
        return True
    tail = one[-1] if one[-1].segment.kind is Kind.ANY else None
    head = one[:-1] if tail else one
    if len(other) < len(head) or (tail is None and len(other) > len(head)):
        return False
    for mine, theirs in zip(head, other, strict=False):
        if mine.separator != theirs.separator or Kind.ANY in (
            mine.segment.kind,
            theirs.segment.kind,
        ):
            return False
        if not (
            mine.segment.kind is Kind.ONE
            or mine.segment == theirs.segment
            or (theirs.segment.kind is Kind.LITERAL and mine.segment.matches(theirs.segment.text))
        ):
            return False
    rest = other[len(head) :]
    return not rest or tail is None or tail.separator == rest[0].separator
