"""JSON Schema of events that the bus reads: pydantic, which FastStream asks, would describe some of
them as it reads them, and others not at all."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from busway import Bus, OptionError

from ._kinds import is_declared, is_typed, members_of, parts_of

__all__ = ["knows", "of_topic", "returned_by", "schema_of"]

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/{name}"
_VERSION = "x-schemaversion"


def knows(kind: Any) -> bool:
    """Whether its schema is to be made here."""
    return is_typed(kind) or any(map(is_declared, parts_of(kind)))


def returned_by(call: Callable[..., Any]) -> Any:
    """What a handler says it returns; None where it does not."""
    try:
        return typing.get_type_hints(inspect.unwrap(call)).get("return")
    except (NameError, TypeError):
        return None


def of_topic(topic: str, title: str) -> Schema | None:
    """The schema of the class that is declared for a topic; None where none is."""
    try:
        schema = Bus("null://").schemas(topic)[topic]
    except OptionError:
        return None
    return _titled(schema, title) if _VERSION in schema else None


def schema_of(kind: Any, title: str) -> Schema:
    """As FastStream takes it: a schema with a title, and what it refers to under ``$defs``.

    A document is for reading: what has no schema is said to be anything, and hides nothing else.
    """
    if not knows(kind):
        return {"title": title}
    if is_declared(kind):
        (schema,) = Bus("null://").schemas(kind).values()
        return _titled(schema, title)
    members = members_of(kind)
    if any(map(is_declared, members)):
        return _one_of([(each, schema_of(each, "")) for each in members], title)
    return _of_msgspec(kind, title)


def _titled(schema: Schema, title: str) -> Schema:
    """A schema of the bus's, which may be nothing but a reference, as one that is its own."""
    body = {name: value for name, value in schema.items() if name not in ("$schema", _VERSION)}
    defined: Schema = dict(body.pop("$defs", {}))
    if reference := body.pop("$ref", ""):
        name = reference.rpartition("/")[2]
        # Whoever refers to it finds it by its title.
        body |= {**defined.pop(name), "title": name}
    body.setdefault("title", title)
    return {**body, "$defs": defined} if defined else body


def _one_of(members: list[tuple[Any, Schema]], title: str) -> Schema:
    defined: Schema = {}
    options: list[Schema] = []
    for kind, schema in members:
        defined |= schema.pop("$defs", {})
        name = schema.get("title")
        if name:
            defined[name] = schema
            options.append({"$ref": _REFERENCE.format(name=name)})
        else:
            options.append({"type": "null"} if kind is type(None) else {})
    return {"title": title, "anyOf": options, "$defs": defined}


def _of_msgspec(kind: Any, title: str) -> Schema:
    models: Schema = {}

    def of_model(cls: Any) -> Schema:
        if not hasattr(cls, "model_json_schema"):
            raise TypeError(f"there are no words for {cls.__qualname__}")
        # As it is written: one class may stand in an event of its own and in another's.
        schema: Schema = cls.model_json_schema(mode="serialization", ref_template="#/$defs/{model}")
        models.update(schema.pop("$defs", {}))
        return schema

    try:
        (body,), defined = msgspec.json.schema_components(
            [kind], schema_hook=of_model, ref_template="#/$defs/{name}"
        )
    except TypeError as error:
        reason = str(error).partition("\n")[0]
        return {"title": title, "description": f"it has no JSON Schema: {reason}"}
    if "$ref" not in body:
        body["title"] = title
    return _titled({**body, "$defs": {**models, **defined}}, title)
