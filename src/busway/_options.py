"""What ``publish`` and its like are given beside the event, checked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from .errors import OptionError
from .message import PublishOptions, Ref

__all__ = ["due_of", "given_fields", "moment"]

_RESERVED_HEADER: Final = "busway-"
_NEVER_EMPTY: Final = ("id", "source", "correlation_id")

_NAMES = {
    "id": "given_id",
    "key": "subject",
    "correlation_id": "given_correlation_id",
}


def given_fields(options: PublishOptions) -> dict[str, Any]:
    """The fields of the envelope that were given. Raises OptionError."""
    fields: dict[str, Any] = {}
    for name, value in options.items():
        if name == "delay":
            continue
        if name == "time":
            fields["timestamp"] = moment(value, "time")
        elif name == "headers":
            fields["headers"] = _headers(value)
        elif name in ("aggregate", "resource"):
            fields[name] = _ref(name, value)
        elif name in PublishOptions.__annotations__:
            fields[_NAMES.get(name, name)] = _text(name, value)
        else:
            known = ", ".join(sorted(PublishOptions.__annotations__))
            raise OptionError(f"unknown option {name}=; known: {known}")
    return fields


def _text(name: str, value: object) -> str | None:
    if name in _NEVER_EMPTY and (value is None or value == ""):
        raise OptionError(f"{name}={value!r}: it takes a text that is not empty; or leave it out")
    if value is None or isinstance(value, str):
        return value
    raise OptionError(f"{name}={value!r}: it takes a text, such as str(...)")


def _ref(name: str, value: object) -> Ref | None:
    if value is None:
        return None
    match value:
        case (str(kind), str(identity)):
            return kind, identity
        case _:
            pass
    raise OptionError(f'{name}={value!r}: it takes a pair of texts, such as ("order", "o-1")')


def _headers(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise OptionError(f"headers={value!r}: it takes a mapping of texts to texts")
    given: dict[Any, Any] = dict(value)  # pyright: ignore[reportUnknownArgumentType]
    for name, text in given.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise OptionError(
                f"headers: {name!r}: {text!r}: names and values are texts; put other values into "
                "the event"
            )
        if name.lower().startswith(_RESERVED_HEADER):
            raise OptionError(
                f"headers: {name!r}: names that begin with 'busway-' are reserved for the bus; "
                "choose another"
            )
    return dict(given)


def moment(value: object, name: str) -> float:
    """Seconds since 1970 of a datetime with a time zone."""
    if not isinstance(value, datetime):
        raise OptionError(f"{name}={value!r}: it takes a datetime with a time zone")
    if value.tzinfo is None or value.utcoffset() is None:
        raise OptionError(
            f"{name}={value!r} has no time zone: two machines would disagree about when that is. "
            "Use datetime.now(UTC), or value.replace(tzinfo=…)"
        )
    return value.timestamp()


def due_of(options: PublishOptions, now: float) -> float | None:
    """When what is published with these options may be handled; None for at once."""
    if "delay" not in options:
        return None
    delay = options["delay"]
    if isinstance(delay, datetime):
        return moment(delay, "delay")
    if isinstance(delay, timedelta):
        seconds = delay.total_seconds()
    elif isinstance(delay, int | float) and not isinstance(delay, bool):
        seconds = float(delay)
    else:
        raise OptionError(f"delay={delay!r}: it takes seconds, a timedelta, or a datetime")
    if not 0 <= seconds < float("inf"):
        raise OptionError(f"delay={delay!r}: it takes 0 seconds or more, or a moment")
    return now + seconds
