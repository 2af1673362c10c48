"""The rules of patterns a second time, as simple as can be, to hold the real ones against.

It works on the text: braces are written out, each ``**`` is either taken out with a separator or
stands for one segment or more, and the rest is tried character by character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

__all__ = ["naive_match"]


@cache
def naive_match(pattern: str, topic: str) -> bool:
    return any(
        one in ("*", "**") or any(_fits(text, topic) for text in _without_empty_stretches(one))
        for one in _written_out(pattern)
    )


def _written_out(pattern: str) -> Iterator[str]:
    opened = -1
    bracket = False
    commas: list[int] = []
    for at, character in enumerate(pattern):
        bracket = character == "[" or (bracket and character != "]")
        if bracket:
            continue
        if character == "{":
            opened = at
        elif character == "," and opened >= 0:
            commas.append(at)
        elif character == "}":
            cuts = [opened, *commas, at]
            for start, end in pairwise(cuts):
                yield from _written_out(
                    pattern[:opened] + pattern[start + 1 : end] + pattern[at + 1 :]
                )
            return
    yield pattern


def _without_empty_stretches(pattern: str) -> set[str]:
    """The pattern with each choice of its ``**`` taken out; those left swallow one or more."""
    found = {pattern}
    for stretch in re.finditer(r"\*\*", pattern):
        before, after = pattern[: stretch.start()], pattern[stretch.end() :]
        if not before:
            found |= _without_empty_stretches(after[1:])
        elif not after:
            found.add(before[:-1])
        elif before[-1] == after[0]:
            found |= _without_empty_stretches(before + after[1:])
    return found


@cache
def _fits(pattern: str, topic: str) -> bool:
    """Whether all of the topic fits, where ``**`` is one whole segment or more."""
    if not pattern:
        return not topic
    if pattern.startswith("**"):
        ends = [at for at in range(1, len(topic) + 1) if topic[at : at + 1] in (".", ":", "")]
        return any(_fits(pattern[2:], topic[at:]) for at in ends)
    if pattern[0] == "*":  # a whole segment too: no segment of a topic is empty
        return _fits(pattern[1:], topic) or (_plain(topic) and _fits(pattern, topic[1:]))
    if pattern[0] == "?":
        return _plain(topic) and _fits(pattern[1:], topic[1:])
    if pattern[0] == "[":
        inside, _, rest = pattern[1:].partition("]")
        return _plain(topic) and _named(topic[0], inside) and _fits(rest, topic[1:])
    return pattern[0] == topic[:1] and _fits(pattern[1:], topic[1:])


def _plain(topic: str) -> bool:
    return topic[:1] not in ("", ".", ":")


def _named(character: str, inside: str) -> bool:
    if inside[0] == "!":
        return not _named(character, inside[1:])
    if inside[1:2] == "-" and len(inside) > 2:
        here, rest = inside[0] <= character <= inside[2], inside[3:]
    else:
        here, rest = character == inside[0], inside[1:]
    return here or (rest != "" and _named(character, rest))
