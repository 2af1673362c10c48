"""Patterns: what is well-formed, what a pattern means, which is more specific.

A **pattern** is read in this order:

1. ``{a,b}`` stands for its alternatives, each of which may hold segments and wildcards. They are
   written out, as text, and each result is a pattern of its own. The pattern matches what one of
   them matches.
2. A pattern that is only ``*`` or only ``**`` matches every topic.
3. A separator matches itself only.
4. A segment ``*`` is exactly one segment. What ``*``, ``?`` and ``[…]`` are inside a segment says
   ``_segments``; none of them ever matches a separator.
5. A segment ``**`` swallows any number of whole segments, also none, with whatever separators lie
   between those. The separator before it must stand before the first one swallowed, and the
   separator after it must stand after the last one.
6. A ``**`` that swallows none goes together with its separator. In the middle of a pattern its two
   separators become one, which must be both of them: ``a.**.z`` matches ``a.z``, and ``a.**:z``
   matches neither ``a.z`` nor ``a:z``.

There is no escaping, and no need for it: no topic holds a wildcard character.

**Which is more specific.** Two patterns are compared segment by segment, from the left, and the
first difference decides. The more specific segment is, in this order:

1. literal text;
2. text with ``?`` or ``[…]`` and without ``*``;
3. text with ``*``;
4. ``*``;
5. no segment: the pattern ends here;
6. ``**``.

Among segments of the second or of the third sort, the one with more literal characters; else, from
the left, the one whose first different element is narrower: a literal character, a class (one of
fewer characters first), ``?``, ``*``. Separators and literal characters themselves do not count, so
patterns tie exactly when they have the same shape. ``*`` and ``**`` alone are the same pattern. Of
a pattern with alternatives, the most specific one that matches counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from math import prod
from typing import Final, NamedTuple

from ._segments import END, Kind, Segment, SegmentRank, read_segment
from ._topics import EMPTY_SEGMENT, split_topic, unfit
from .errors import PatternError

__all__ = [
    "MAX_EXPANSIONS",
    "MAX_PATTERN",
    "Pattern",
    "Rank",
    "Step",
    "exact_topics",
    "read_pattern",
]

MAX_PATTERN: Final = 4_096
"""The longest pattern, in characters, as it is written."""
MAX_EXPANSIONS: Final = 256
"""The most patterns that the alternatives of one pattern may stand for."""

Rank = tuple[SegmentRank, ...]
"""Sorts patterns, the most specific first."""

_BRACES = re.compile(r"\{([^{}]*)\}")
_BRACKETS = re.compile(r"\[([^\]]*)\]")


class Step(NamedTuple):
    """One segment of a pattern with the separator before it, which is "" for the first."""

    separator: str
    segment: Segment


# Thousands of patterns share few steps and ranks. One object for all that are equal stays in the
# processor's cache, and comparing it with itself looks at nothing else.
_step = lru_cache(maxsize=4_096)(Step)


@lru_cache(maxsize=4_096)
def _rank(rank: Rank) -> Rank:
    return rank


class Pattern(NamedTuple):
    """One pattern without alternatives."""

    text: str
    steps: tuple[Step, ...]
    rank: Rank

    @property
    def everything(self) -> bool:
        """Whether it matches every topic."""
        return len(self.steps) == 1 and self.steps[0].segment.kind is Kind.ANY


@lru_cache(maxsize=2_048)
def read_pattern(pattern: str) -> tuple[Pattern, ...]:
    """Return the patterns that this one stands for: one, or more where it has alternatives.

    Raises ``PatternError`` when it is malformed.
    """
    if not isinstance(pattern, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise PatternError(f"pattern {pattern!r} is no text: write it as in 'order.*'")
    if not pattern:
        raise PatternError("pattern '' is empty: write '*' for every event")
    if len(pattern) > MAX_PATTERN:
        shown = pattern[:40] + "…"
        raise _bad(shown, f"is longer than {MAX_PATTERN} characters", "subscribe to several")
    if wrong := unfit(pattern):
        raise _bad(pattern, f"holds {wrong!r}, which no topic holds", "leave it out")
    if "\\" in pattern:
        raise _bad(
            pattern,
            "holds a backslash, and there is no escaping",
            "leave it out; no topic holds wildcard characters",
        )
    texts = dict.fromkeys(_expand(pattern, _mask_brackets(pattern)))
    return tuple(_read_one(text, pattern) for text in texts)


def exact_topics(pattern: str) -> list[str]:
    """The topics that a pattern names, without its alternatives that have wildcards.

    Raises ``PatternError`` when it is malformed.
    """
    return [
        one.text
        for one in read_pattern(pattern)
        if all(step.segment.kind is Kind.LITERAL for step in one.steps)
    ]


def _read_one(text: str, pattern: str) -> Pattern:
    if text == "*":
        return _read_one("**", pattern)
    if not text or EMPTY_SEGMENT.search(text):
        raise _bad(
            pattern,
            "has an empty segment",
            "write one '.' or ':' between two segments and none at the ends; "
            "'*' is exactly one segment, '**' is any number",
        )
    steps: list[Step] = []
    for token in split_topic(text):
        separator = token[0] if token[0] in ".:" else ""
        step = _step(separator, _read_segment(token[len(separator) :], pattern))
        if steps and step.segment.kind is Kind.ANY is steps[-1].segment.kind:
            raise _bad(
                pattern, "has '**' beside '**'", "write '**' once; it is any number of segments"
            )
        steps.append(step)
    return Pattern(text, tuple(steps), _rank((*(step.segment.rank for step in steps), END)))


def _read_segment(text: str, pattern: str) -> Segment:
    if "***" in text:
        raise _bad(
            pattern,
            "holds '***'",
            "write '*' for one segment or a part of one, '**' for any number of segments",
        )
    if "**" in text and text != "**":
        raise _bad(
            pattern,
            f"has '**' glued to text in {text!r}",
            f"write {text.replace('**', '*')!r} for a part of one segment, "
            "or set '**' between separators for any number of segments",
        )
    return read_segment(text, pattern)


def _mask_brackets(pattern: str) -> str:
    """The pattern with what is in brackets blotted out, so that commas in there do not count."""
    for members in _BRACKETS.findall(pattern):
        _check_members(members, pattern)
    rest = _BRACKETS.sub("", pattern)
    if "[" in rest:
        raise _bad(pattern, "has '[' without ']'", "write '[abc]' for one of these characters")
    if "]" in rest:
        raise _bad(pattern, "has ']' without '['", "write '[abc]' for one of these characters")
    return _BRACKETS.sub(lambda found: "_" * len(found.group()), pattern)


def _check_members(members: str, pattern: str) -> None:
    shown = f"[{members}]"
    if members.startswith("^"):
        raise _bad(pattern, f"holds {shown!r}", f"write '[!{members[1:]}]' for none of these")
    if members in ("", "!"):
        raise _bad(pattern, f"holds {shown!r}, which names no character", "write '[abc]'")
    if found := re.search(r"[.:*?\[{}]", members):
        raise _bad(
            pattern,
            f"holds {found.group()!r} in {shown!r}",
            "name characters of one segment there; '{a.b,c}' holds alternatives with separators",
        )


def _expand(pattern: str, masked: str) -> Iterator[str]:
    rest = _BRACES.sub("", masked)
    opened, closed = rest.find("{"), rest.find("}")
    if 0 <= opened < closed:
        raise _bad(pattern, "has '{' inside '{…}'", "write them side by side: '{a,b,c}'")
    if opened >= 0:
        raise _bad(pattern, "has '{' without '}'", "write '{a,b}' for alternatives")
    if closed >= 0:
        raise _bad(pattern, "has '}' without '{'", "write '{a,b}' for alternatives")
    parts: list[list[str]] = []
    at = 0
    for braces in _BRACES.finditer(masked):
        parts.append([pattern[at : braces.start()]])
        parts.append(_alternatives(pattern, masked, braces.start(1), braces.end(1)))
        at = braces.end()
    parts.append([pattern[at:]])
    if (count := prod(map(len, parts))) > MAX_EXPANSIONS:
        raise _bad(
            pattern,
            f"stands for {count} patterns, the most is {MAX_EXPANSIONS}",
            "use '*' in place of some alternatives, or subscribe with several patterns",
        )
    return map("".join, product(*parts))


def _alternatives(pattern: str, masked: str, start: int, end: int) -> list[str]:
    found: list[str] = []
    for alternative in masked[start:end].split(","):
        found.append(pattern[start : start + len(alternative)])
        start += len(alternative) + 1
    if "" in found:
        raise _bad(
            pattern,
            "has an empty alternative",
            "name each one: '{a,b}'; give a second pattern to match without it",
        )
    return found


def _bad(pattern: str, what: str, instead: str) -> PatternError:
    return PatternError(f"pattern {pattern!r} {what}: {instead}")
