"""Finds the part of a value that cannot be encoded, for the error's text."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from ._wire import UNWRITABLE

__all__ = ["blame"]

_DEEPEST = 32


def blame(value: Any, encode: Callable[[Any], bytes]) -> str:
    """The path and type of the innermost part that is refused: ``$.lines[2].colour (complex)``.

    An empty text when the value is not refused. Encodes every part once more on the way down,
    which only an error pays for.
    """
    if not _refused(value, encode):
        return ""
    path = "$"
    for _ in range(_DEEPEST):
        for step, part in _parts(value):
            if _refused(part, encode):
                path, value = path + step, part
                break
        else:
            break
    return f"{path} ({type(value).__module__}.{type(value).__qualname__})"


def _refused(value: Any, encode: Callable[[Any], bytes]) -> bool:
    try:
        encode(value)
    except UNWRITABLE:
        return True
    return False


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    if issubclass(type(value), Mapping):
        return [(f".{key}"[:80], part) for key, part in value.items()]
    if issubclass(type(value), (list, tuple, set, frozenset)):
        return [(f"[{place}]", part) for place, part in enumerate(value)]
    return [(f".{name}", getattr(value, name, None)) for name in _fields(value)]


def _fields(value: object) -> Iterable[str]:
    cls = type(value)
    if issubclass(cls, msgspec.Struct):
        return cls.__struct_fields__
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls)]
    return [field.name for field in getattr(cls, "__attrs_attrs__", ())]
