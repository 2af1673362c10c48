"""One segment of a pattern: its characters read, compiled and ranked.

Each character of a segment stands for itself, except:

- ``*`` is any number of characters, also none (a segment that is only ``*`` is one whole segment,
  and is not read here);
- ``?`` is one character;
- ``[abc]`` and ``[a-z]`` are one of these characters, ``[!abc]`` is one that is none of these. A
  ``-`` that stands first or last is itself.

A segment with wildcards becomes one regular expression over one segment, of escaped literals.
What follows a ``*`` is searched once, from the left, in an atomic group: it is never tried again
further right, because the leftmost place leaves most to the rest. So the time grows with pattern
times text, whatever the two are.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

from .errors import PatternError

__all__ = ["END", "Kind", "Segment", "SegmentRank", "read_segment"]

SegmentRank = tuple[int, int, tuple[int, ...]]
"""Sorts segments, the most specific first: the kind, literal characters (negative), elements.

Plain numbers: a member of an enum is hashed by a function in Python."""


class Kind(IntEnum):
    """What a segment is. The smaller is the more specific."""

    LITERAL = 0
    FIXED = 1
    """With ``?`` or ``[…]`` and without ``*``: it says how many characters there are."""
    OPEN = 2
    """With a ``*`` beside something else."""
    ONE = 3
    """``*``: exactly one segment."""
    ANY = 5
    """``**``: any number of segments."""


END: SegmentRank = (4, 0, ())
"""Where a pattern ends: behind every segment that asks for more, before ``**``, which does not."""

_ELEMENT = re.compile(r"\[(!?)([^\]]*)\]|(.)", re.DOTALL)
_CHARACTERS = 0x110000
_QUESTION = _CHARACTERS + 1
_STAR = _CHARACTERS + 2


class Segment(NamedTuple):
    """One segment, compiled."""

    text: str
    kind: Kind
    rank: SegmentRank
    prefix: str = ""
    """The literal characters before the first wildcard."""
    suffix: str = ""
    """The literal characters after the last wildcard."""
    least: int = 1
    """The fewest characters it can match."""
    regex: re.Pattern[str] | None = None
    """None where kind, prefix, suffix and least say all."""

    def matches(self, text: str) -> bool:
        """Whether it matches one segment of a topic."""
        if self.kind >= Kind.ONE:
            return True
        if self.kind is Kind.LITERAL:
            return text == self.text
        if self.regex is not None:
            return self.regex.fullmatch(text) is not None
        return (
            len(text) >= self.least and text.startswith(self.prefix) and text.endswith(self.suffix)
        )


def read_segment(text: str, pattern: str) -> Segment:
    """Compile one segment; ``pattern`` is what it is part of, for the error.

    Brackets are known to be closed and to hold neither separators nor wildcards. Raises
    ``PatternError``.
    """
    if text == "*":
        return Segment(text, Kind.ONE, (int(Kind.ONE), 0, ()))
    if text == "**":
        return Segment(text, Kind.ANY, (int(Kind.ANY), 0, ()))
    sources: list[str] = []
    widths: list[int] = []
    for bang, members, character in _ELEMENT.findall(text):
        source, width = (
            _character(character) if character else _class(bang == "!", members, pattern)
        )
        sources.append(source)
        widths.append(width)
    if not any(widths):
        return Segment(text, Kind.LITERAL, (int(Kind.LITERAL), 0, ()), text, "", len(text))
    return _partial(text, sources, widths)


def _partial(text: str, sources: list[str], widths: list[int]) -> Segment:
    kind = Kind.OPEN if _STAR in widths else Kind.FIXED
    leading = next(i for i, width in enumerate(widths) if width)
    trailing = next(i for i, width in enumerate(reversed(widths)) if width)
    plain = kind is Kind.OPEN and leading + trailing + 1 == len(widths)
    return Segment(
        text,
        kind,
        (int(kind), -widths.count(0), tuple(widths)),
        text[:leading],
        text[len(text) - trailing :],
        len(widths) - widths.count(_STAR),
        None if plain else _regex(sources),
    )


def _regex(sources: list[str]) -> re.Pattern[str]:
    chunks = [""]
    for source in sources:
        if source:
            chunks[-1] += source
        else:
            chunks.append("")
    first, *rest = chunks
    if not rest:
        return re.compile(first, re.DOTALL)
    middle = "".join(f"(?>.*?{chunk})" for chunk in rest[:-1])
    return re.compile(f"{first}{middle}.*{rest[-1]}", re.DOTALL)


def _character(character: str) -> tuple[str, int]:
    if character == "*":
        return "", _STAR
    if character == "?":
        return ".", _QUESTION
    return re.escape(character), 0


def _class(negated: bool, members: str, pattern: str) -> tuple[str, int]:
    ranges: list[tuple[str, str]] = []
    at = 0
    while at < len(members):
        first = last = members[at]
        if members[at + 1 : at + 2] == "-" and at + 2 < len(members):
            last = members[at + 2]
            at += 2
        if first > last:
            raise PatternError(
                f"pattern {pattern!r} holds the backward range '{first}-{last}': "
                f"write '[{last}-{first}]'"
            )
        ranges.append((first, last))
        at += 1
    body = "".join(f"{re.escape(first)}-{re.escape(last)}" for first, last in ranges)
    size = _size(ranges)
    return (f"[^{body}]", _CHARACTERS - size) if negated else (f"[{body}]", size)


def _size(ranges: list[tuple[str, str]]) -> int:
    size, done = 0, -1
    for first, last in sorted(ranges):
        start = max(ord(first), done + 1)
        size += max(0, ord(last) - start + 1)
        done = max(done, ord(last))
    return size
