"""What an annotation is made of, and so who reads an event into it: the bus, or FastStream."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from busway import EventError

from ._topics import topic_of

__all__ = [
    "is_chosen_by_topic",
    "is_declared",
    "is_read_by_the_bus",
    "is_strict",
    "is_typed",
    "members_of",
    "parts_of",
]

_UNIONS = (Union, types.UnionType)
_STAND_FOR = ("__supertype__", "__value__")
"""Of a NewType, and of an alias."""


def is_typed(wanted: Any) -> bool:
    """Whether msgspec has to make it: pydantic has no idea of a Struct, or of a class of attrs."""
    return any(map(_is_msgspecs, parts_of(wanted)))


def is_read_by_the_bus(wanted: Any) -> bool:
    """Whether it is made of what the bus reads otherwise than FastStream would: Structs, classes of
    attrs, models; and a union of declared classes, of which the topic chooses."""
    is_read = any(_is_msgspecs(each) or _is_pydantics(each) for each in parts_of(wanted))
    return is_read or is_chosen_by_topic(wanted)


def is_chosen_by_topic(wanted: Any) -> bool:
    """Whether it is a union that has a declared class."""
    return any(map(is_declared, members_of(wanted)))


def is_strict(wanted: Any) -> bool:
    """Whether a model in it is strict: it takes a moment as JSON's text, and not as Python's."""
    models = filter(_is_pydantics, parts_of(wanted))
    configs: list[dict[str, Any]] = [getattr(each, "model_config", {}) for each in models]
    return any(each.get("strict") for each in configs)


def _is_msgspecs(cls: Any) -> bool:
    is_attrs = hasattr(cls, "__attrs_attrs__")
    return isinstance(cls, type) and (is_attrs or issubclass(cls, msgspec.Struct))


def _is_pydantics(cls: Any) -> bool:
    return isinstance(cls, type) and hasattr(cls, "__pydantic_validator__")


def is_declared(cls: Any) -> bool:
    """Whether it is an event class."""
    if not isinstance(cls, type) or cls.__module__ == "builtins":
        return False
    try:
        topic_of(cls)
    except EventError:
        return False
    return True


def members_of(annotation: Any) -> tuple[Any, ...]:
    """Of a union; none of anything else."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return get_args(annotation) if get_origin(annotation) in _UNIONS else ()


def parts_of(annotation: Any) -> Iterator[Any]:
    """It, and all that it is made of: arguments, fields of dataclasses, what a name stands for."""
    seen: list[Any] = []  # some cannot be hashed, and a class may hold itself
    waiting = [annotation]
    while waiting:
        part = waiting.pop()
        if any(part is each for each in seen):
            continue
        seen.append(part)
        yield part
        waiting += [*_arguments(part), *_held(part)]


def _arguments(part: Any) -> tuple[Any, ...]:
    origin, arguments = get_origin(part), get_args(part)
    if origin in (None, type, Literal):
        return ()
    # What stands beside the type is anything, and may say anything of itself.
    return arguments[:1] if origin is Annotated else (origin, *arguments)


def _held(part: Any) -> Iterator[Any]:
    try:
        yield from _fields_of(part)
        yield from (getattr(part, name) for name in _STAND_FOR if hasattr(part, name))
    except (NameError, TypeError, AttributeError):
        return  # who makes its reader says what is wrong


def _fields_of(part: Any) -> Iterable[Any]:
    if not _has_fields(part) or _is_pydantics(part):
        return ()
    return typing.get_type_hints(part).values()


def _has_fields(part: Any) -> bool:
    """A dataclass, a TypedDict or a named tuple."""
    marks = ("__dataclass_fields__", "__required_keys__", "_fields")
    return isinstance(part, type) and any(hasattr(part, mark) for mark in marks)
