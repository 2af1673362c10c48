"""Where in an event the fields of its envelope are found."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from ._pydantic import fields_of, is_model
from .errors import EventError
from .message import Ref

__all__ = ["Field", "getter", "pair"]

Field = str | Callable[[Any], Any]
"""Where a value is found in an event: the name of a field, or a function of the event."""


def getter(cls: type, what: str, field: Field | None, place: str) -> Callable[[Any], Any] | None:
    if field is None or callable(field):
        return field
    if not isinstance(field, str):
        raise EventError(
            f"{place}: {what}={field!r}: it takes the name of a field, or a function of the event"
        )
    if field not in _fields(cls):
        known = ", ".join(sorted(_fields(cls))) or "none"
        raise EventError(
            f"{place}: {cls.__qualname__} has no field {field!r} for {what}=; its fields: {known}"
        )
    return operator.itemgetter(field) if _is_mapping(cls) else operator.attrgetter(field)


def pair(
    cls: type, what: str, given: Field | tuple[str, Field] | None, place: str
) -> Callable[[Any], Ref | None] | None:
    if given is None:
        return None
    if callable(given):
        return _checked_pair(cls, what, given, place)
    if not (isinstance(given, tuple) and len(given) == 2):
        raise EventError(
            f'{place}: {what}={given!r}: it takes a pair such as ("order", "order_id"), or a '
            "function that returns one"
        )
    kind, field = given
    get = getter(cls, what, field, place)
    if get is None or not isinstance(kind, str):
        raise EventError(
            f'{place}: {what}={given!r}: it takes a pair such as ("order", "order_id")'
        )

    def found(event: Any) -> Ref | None:
        identity = get(event)
        return None if identity is None else (kind, str(identity))

    return found


def _checked_pair(
    cls: type, what: str, function: Callable[[Any], Any], place: str
) -> Callable[[Any], Ref | None]:
    def found(event: Any) -> Ref | None:
        match function(event):
            case None:
                return None
            case (str(kind), identity) if identity is not None:
                return kind, str(identity)
            case wrong:
                raise EventError(
                    f"{what}= of {cls.__qualname__} ({place}) returned {wrong!r}: it returns a "
                    'pair such as ("order", "o-1"), or None'
                )

    return found


def _fields(cls: type) -> set[str]:
    if is_model(cls):
        return fields_of(cls)
    names: set[str] = set()
    for base in cls.__mro__:
        names.update(getattr(base, "__annotations__", {}))
    names.update(name for name in dir(cls) if isinstance(getattr(cls, name, None), property))
    return names


def _is_mapping(cls: type) -> bool:
    return issubclass(cls, dict)
