"""How the options of middlewares are checked."""

from __future__ import annotations

from datetime import timedelta

from busway.errors import OptionError

__all__ = ["positive", "seconds_of"]


def seconds_of(name: str, value: float | timedelta) -> float:
    """Seconds, more than 0. Raises ``OptionError`` with the option's name."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    return positive(name, seconds, "seconds")


def positive(name: str, value: object, unit: str) -> float:
    """The value, if it is a number above 0. Raises ``OptionError`` with the option's name."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise OptionError(f"{name}={value!r}: it must be a number of {unit} above 0")
    return value
