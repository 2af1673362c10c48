"""What events look like to others, as JSON Schema (2020-12).

Each schema stands alone: what it refers to lies in its own ``$defs``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

from ._declared import declaration_of, declared_for
from ._pydantic import holds_models, is_model, json_schema
from .message import Envelope

__all__ = ["DIALECT", "VERSION", "Names", "Schema", "schema_of_topic"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VERSION = "x-schemaversion"
"""The keyword for what ``@event(version=)`` said."""

Schema: TypeAlias = dict[str, Any]

_ANYTHING = (Any, object, inspect.Parameter.empty, None, Envelope, Raw)
_MAPPINGS = (dict, Mapping, MutableMapping)
_UNFIT = re.compile(r"[^A-Za-z0-9._-]")


class Names:
    """Names that AsyncAPI, and references, allow, each given once."""

    def __init__(self, *taken: str) -> None:
        self._taken = set(taken)

    def fresh(self, wanted: str) -> str:
        bare = _UNFIT.sub("_", wanted) or "_"
        name, number = bare, 1
        while name in self._taken:
            number += 1
            name = f"{bare}_{number}"
        self._taken.add(name)
        return name


def schema_of_topic(topic: str, annotations: Iterable[Any] = ()) -> Schema:
    """What an event of the topic looks like: as the class declared for it is written; without one,
    as it has to be for every handler to read it, whose annotations are given. What JSON Schema has
    no words for is any value, and its description says why.
    """
    cls = declared_for(topic)
    declared = None if cls is None else declaration_of(cls)
    schema: Schema = {"$schema": DIALECT}
    if declared is not None:
        return schema | {VERSION: declared.version} | _schema(cls, written=True)
    return schema | _taken(annotations)


def _taken(annotations: Iterable[Any]) -> Schema:
    told: list[Any] = []
    for each in annotations:
        if each not in _ANYTHING and each not in told:  # some cannot be hashed
            told.append(each)
    prefixes = [""] if len(told) == 1 else [f"{number}." for number in range(1, len(told) + 1)]
    parts = [_schema(each, prefix=prefix) for each, prefix in zip(told, prefixes, strict=True)]
    if len(parts) < 2:
        return parts[0] if parts else {}
    definitions = {name: own for part in parts for name, own in part.pop("$defs", {}).items()}
    return {"allOf": parts, "$defs": definitions}


def _schema(annotation: Any, *, written: bool = False, prefix: str = "") -> Schema:
    if annotation in _MAPPINGS:
        return {"type": "object"}
    try:
        if holds_models(annotation):
            return _plain(json_schema(annotation, written=written, prefix=prefix))
        return _plain(_of_msgspec(annotation, written, prefix))
    except Exception as error:
        # Whatever it is: a model may describe itself by code of the application's. The others are
        # to be told of all the same. Not where it was declared: others read this.
        return {
            "description": f"Any value: {_name(annotation)} cannot be described as JSON Schema: "
            f"{_reason(error)}."
        }


def _plain(schema: Schema) -> Schema:
    """Defaults stand in it as objects of Python."""
    plain: Schema = msgspec.json.decode(msgspec.json.encode(schema))
    return plain


def _of_msgspec(annotation: Any, written: bool, prefix: str) -> Schema:
    definitions: dict[str, Any] = {}
    names, rooms = Names(), dict[type, str]()

    def of_model(cls: type) -> Schema:
        if not is_model(cls):
            raise TypeError(f"there are no words for {cls.__module__}.{cls.__qualname__}")
        if cls not in rooms:  # a class is asked for wherever it stands; two may have one name
            rooms[cls] = names.fresh(cls.__name__)
        schema = json_schema(cls, written=written, prefix=f"{prefix}{rooms[cls]}-")
        definitions.update(schema.pop("$defs", {}))
        return schema

    (schema,), own = msgspec.json.schema_components(
        [annotation], schema_hook=of_model, ref_template=f"#/$defs/{prefix}{{name}}"
    )
    definitions.update((prefix + name, each) for name, each in own.items())
    return {**schema, "$defs": definitions} if definitions else schema


def _name(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)


def _reason(error: Exception) -> str:
    text = str(error).partition("\nFor further information")[0] or type(error).__name__
    text = " ".join(text.split()).removesuffix(".")
    return text if len(text) <= 300 else f"{text[:300]}…"
