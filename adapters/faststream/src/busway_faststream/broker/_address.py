"""What a subscriber says it listens to: a pattern of Busway's, with FastStream's path parameters.

``order.{kind}`` is the pattern ``order.*`` and a parameter ``kind``; ``{a,b}`` are Busway's own
alternatives. What tells them apart is the comma: a name alone in braces is a parameter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

import msgspec

from busway import PatternError

__all__ = ["Address", "address_of"]

_BRACES = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ELEMENT = re.compile(r"\{([^{}]*)\}|\[(!?)([^\]]*)\]|(.)", re.DOTALL)
_WILDCARDS = {"*": "[^.:]*", "?": "[^.:]"}
_SEGMENT = r"[^.:]+"
_SEGMENTS = rf"{_SEGMENT}(?:[.:]{_SEGMENT})*"


class Address(msgspec.Struct, frozen=True):
    """One place that a subscriber listens to."""

    template: str
    """As it was declared, with the prefix of its routers."""
    pattern: str
    """What the bus is asked for."""
    shapes: tuple[re.Pattern[str], ...] = ()
    """What finds the parameters in a topic, one for each alternative; none without parameters."""

    def path_of(self, topic: str) -> dict[str, str]:
        """The parameters' values."""
        for shape in self.shapes:
            found = shape.fullmatch(topic)
            if found is not None:
                return found.groupdict()
        return {}


def address_of(declared: str) -> Address:
    """Read what was declared. Raises PatternError when a parameter is named twice."""
    names = [name for name in _BRACES.findall(declared) if _NAME.fullmatch(name)]
    for name in names:
        if names.count(name) > 1:
            raise PatternError(
                f"{declared!r} names the parameter {name!r} twice: give each a name of its own"
            )
    if not names:
        return Address(declared, declared)
    # A bare * is every topic; one segment that is not empty is written differently.
    alone = declared == "{" + names[0] + "}"
    pattern = "?*" if alone else _BRACES.sub(_as_wildcard, declared)
    return Address(declared, pattern, tuple(re.compile(_shape(each)) for each in _spread(declared)))


def _as_wildcard(braces: re.Match[str]) -> str:
    return "*" if _NAME.fullmatch(braces[1]) else braces[0]


def _spread(declared: str) -> Iterator[str]:
    """The text for each combination of alternatives."""
    parts: list[list[str]] = []
    at = 0
    for braces in _BRACES.finditer(declared):
        parts.append([declared[at : braces.start()]])
        inside = braces[1]
        parts.append([braces[0]] if _NAME.fullmatch(inside) else inside.split(","))
        at = braces.end()
    parts.append([declared[at:]])
    return map("".join, product(*parts))


def _shape(declared: str) -> str:
    """One regular expression over a whole topic: separators match themselves only."""
    tokens = re.split(r"([.:])", declared)
    segments, separators = tokens[::2], ["", *tokens[1::2], ""]
    shape = ""
    for place, segment in enumerate(segments):
        before, after = separators[place], separators[place + 1]
        if segment != "**":
            # A leading ** has taken the separator after it along.
            leading = place == 1 and segments[0] == "**"
            shape += ("" if leading else re.escape(before)) + _segment(segment)
        elif place == 0:
            shape += f"(?:{_SEGMENTS}{re.escape(after)})?"
        else:
            swallowed = f"(?:{re.escape(before)}{_SEGMENTS})"
            shape += swallowed if after and after != before else f"{swallowed}?"
    return shape


def _segment(segment: str) -> str:
    if segment == "*":
        return _SEGMENT
    shape = ""
    for name, bang, members, character in _ELEMENT.findall(segment):
        if name:
            whole = segment == "{" + name + "}"
            shape += f"(?P<{name}>[^.:]{'+' if whole else '*'})"
        elif character:
            shape += _WILDCARDS.get(character) or re.escape(character)
        else:
            shape += f"(?![.:])[{'^' if bang else ''}{_members(members)}]"
    return shape


def _members(members: str) -> str:
    """Of a class of characters: all but the - of a range stand for themselves."""
    ranged = re.sub(r"[\\\]\[^&~|]", lambda found: "\\" + found[0], members)
    return re.sub(r"^-|-$", r"\\-", ranged)
