"""What an option of an adapter takes, as text from a URL or as a value from code.

The same words mean the same to every adapter: who knows ``lease=30s`` of one knows it of all, and
what cannot be read is refused with the same sentence.

```python
from busway.transport.options import choice, duration, whole

OWN = {"lease": duration, "mode": choice("fast", "safe"), "partitions": whole(1)}
given = {"lease": "500ms", "mode": "safe", "partitions": "4"}
options = {name: OWN[name](name, value) for name, value in given.items()}
assert options == {"lease": 0.5, "mode": "safe", "partitions": 4}
```
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from ..errors import OptionError

__all__ = ["Convert", "Secret", "choice", "duration", "flag", "secret", "text", "whole"]

Convert = Callable[[str, Any], Any]
"""From the name of an option and what was given to its value. Raises OptionError."""

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])?")
_FLAGS: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class Secret:
    """A text that no log, error or ``repr`` shows. ``reveal`` is the only way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def duration(name: str, given: Any) -> float:
    """Seconds, more than 0: a number, a timedelta, or a text such as 500ms, 60s, 5m, 12h, 7d."""
    seconds = 0.0
    if isinstance(given, timedelta):
        seconds = given.total_seconds()
    elif isinstance(given, int | float) and not isinstance(given, bool):
        seconds = float(given)
    elif isinstance(given, str) and (found := _DURATION.fullmatch(given.strip())):
        seconds = float(found[1]) * _UNITS[found[2] or "s"]
    if not 0 < seconds < float("inf"):
        raise OptionError(f"{name}={given!r}: it takes seconds, or 500ms, 60s, 5m, 12h, 7d")
    return seconds


def whole(least: int) -> Convert:
    """A whole number, not below ``least``."""

    def convert(name: str, given: Any) -> int:
        number = int(given) if isinstance(given, str) and given.isdecimal() else given
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise OptionError(f"{name}={given!r}: it takes a whole number of {least} or more")
        return number

    return convert


def flag(name: str, given: Any) -> bool:
    """Yes or no."""
    answer = given if isinstance(given, bool) else _FLAGS.get(str(given).lower())
    if answer is None:
        raise OptionError(f"{name}={given!r}: it takes 1 or 0")
    return answer


def choice(*known: str) -> Convert:
    """One of these texts."""

    def convert(name: str, given: Any) -> str:
        if given not in known:
            raise OptionError(f"{name}={given!r}: it takes {' or '.join(known)}")
        return str(given)

    return convert


def text(name: str, given: Any) -> str:
    """A text that is not empty."""
    if not isinstance(given, str) or not given:
        raise OptionError(f"{name}={given!r}: it takes a text that is not empty")
    return given


def secret(name: str, given: Any) -> Secret:
    """A text that is not shown."""
    if isinstance(given, Secret):
        return given
    if not isinstance(given, str):
        raise OptionError(f"{name}=: it takes a text")
    return Secret(given)
