"""Which of two patterns is more specific, as docs/semantics.md has it, for tests without a bus."""

from __future__ import annotations

import re

__all__ = ["rank"]

_END = (4, 0)


def rank(pattern: str) -> tuple[tuple[int, int], ...]:
    """Sorts patterns, the most specific first. Alternatives count as the text they are."""
    if pattern in ("*", "**"):
        return ((5, 0),)
    return (*(_of(segment) for segment in re.split(r"[.:]", pattern)), _END)


def _of(segment: str) -> tuple[int, int]:
    if segment == "**":
        return 5, 0
    if segment == "*":
        return 3, 0
    literal = len(re.sub(r"\[[^\]]*\]|[*?]", "", segment))
    if "*" in segment:
        return 2, -literal
    return (1, -literal) if "?" in segment or "[" in segment else (0, 0)
