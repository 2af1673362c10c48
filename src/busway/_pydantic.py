"""Models of pydantic as events.

What pydantic gives every model (``__pydantic_validator__``, ``__pydantic_serializer__``) is all
that is needed to write and to read one, so nothing is imported for it. Only what is made of models,
such as ``list[Order]``, needs pydantic's own TypeAdapter, and so does a schema.

A model is written as ``model_dump_json(by_alias=True)`` writes it, and read as
``model_validate_json`` reads it. In MessagePack stands the same value as in JSON: pydantic's rules
for what it reads are those for JSON, and are other ones for objects of Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, get_args, get_origin

import msgspec
from msgspec import Raw

__all__ = [
    "as_builtins",
    "as_json",
    "fields_of",
    "from_builtins",
    "generic_of",
    "holds_models",
    "is_model",
    "is_of_model",
    "is_of_version_1",
    "is_open",
    "json_schema",
    "reader",
    "reason_of",
    "to_json",
]

_TOLD = 5
_CONTAINERS = ("builtins", "collections", "types", "typing")


def is_model(cls: object) -> bool:
    """Whether it is a model, or a dataclass, of pydantic 2."""
    return isinstance(cls, type) and hasattr(cls, "__pydantic_validator__")


def is_of_model(value: object) -> bool:
    return is_model(type(value))


def is_of_version_1(cls: type) -> bool:
    """Whether it is a model of pydantic 1, or of ``pydantic.v1``."""
    return not is_model(cls) and any(
        base.__name__ == "BaseModel" and base.__module__.split(".")[0] == "pydantic"
        for base in cls.__mro__
    )


def holds_models(annotation: Any) -> bool:
    """Whether it is a model, or made of any: ``list[Order]``, ``Annotated[Cat | Dog, ...]``. What
    the fields of other classes hold does not count."""
    aliases: list[object] = []  # that were looked into: one may be made of itself
    waiting = [annotation]
    while waiting:
        part = waiting.pop()
        if is_model(part):
            return True
        origin = get_origin(part)
        value = getattr(part, "__value__", None)  # of ``type Pet = Cat | Dog``
        known = getattr(origin, "__module__", "").partition(".")[0] in _CONTAINERS
        if known or value is not None:
            waiting += get_args(part)
        alias = part if origin is None else origin
        if value is not None and not any(alias is each for each in aliases):
            aliases.append(alias)
            waiting.append(value)
    return False


def generic_of(cls: type) -> type | None:
    """The model that this one is a parametrised form of: ``Page`` of ``Page[Order]``."""
    if not is_model(cls):
        return None
    origin: type | None = getattr(cls, "__pydantic_generic_metadata__", {}).get("origin")
    return origin


def is_open(cls: object) -> bool:
    """Whether it is a generic model that was not told of what: ``Page``, and not ``Page[Order]``.
    An object of it may hold what no reader of its JSON would make of it."""
    return is_model(cls) and bool(
        getattr(cls, "__pydantic_generic_metadata__", {}).get("parameters")
    )


def fields_of(cls: type) -> set[str]:
    """The names of a model's fields, as Python code reads them."""
    own: Mapping[str, Any] = getattr(cls, "__pydantic_fields__", {})
    return {*own, *(name for base in cls.__mro__ for name in _computed(base))}


def _computed(base: type) -> list[str]:
    if base.__module__.split(".")[0] == "pydantic":
        return []
    return [name for name, value in vars(base).items() if _is_computed(value)]


def _is_computed(value: object) -> bool:
    # A computed field is a property that pydantic has wrapped.
    return isinstance(getattr(value, "wrapped", value), property | cached_property)


# --- write ------------------------------------------------------------------------------------


def as_json(model: object) -> Raw:
    """What msgspec calls for what it does not know, inside of what it does. Raises what pydantic
    raises (a ``ValueError``), ``TypeError`` for what is no model, and ``DecodeError`` where a model
    writes what is no JSON (``ser_json_inf_nan="constants"``)."""
    return _whole(_serializer(model).to_json(model, by_alias=True))


def as_builtins(model: object) -> Any:
    """The same value as in JSON, where none is written."""
    return msgspec.json.decode(as_json(model))


_whole = msgspec.json.Decoder(Raw).decode


def _serializer(model: object) -> Any:
    cls: type[Any] = type(model)
    if not is_model(cls):
        name = cls.__qualname__
        name = name if cls.__module__ == "builtins" else f"{cls.__module__}.{name}"
        raise TypeError(f"Encoding objects of type {name} is unsupported")
    return cls.__pydantic_serializer__


_encode = msgspec.json.Encoder(enc_hook=as_json).encode


def to_json(value: object) -> bytes:
    """Any value of this process as JSON, whatever it is made of."""
    return _encode(as_json(value) if is_of_model(value) else value)


# --- read -------------------------------------------------------------------------------------


def reader(annotation: Any) -> Callable[[bytes], Any]:
    """What makes a value of the annotation of JSON. It is made once, and raises what pydantic
    raises.

    Raises:
        TypeError: nothing can be read as this, or a name in its annotations is not defined yet.
    """
    try:
        validator = (
            annotation.__pydantic_validator__ if is_model(annotation) else _adapter(annotation)
        )
        read: Callable[[bytes], Any] = validator.validate_json
    except Exception as error:
        # Its own errors have no root that is narrower, and are no TypeError.
        raise TypeError(str(error).partition("\n")[0]) from error
    return read


def _adapter(annotation: Any) -> Any:
    from pydantic import TypeAdapter  # a model is there, so pydantic is

    return TypeAdapter(annotation)


def from_builtins(cls: Any, value: Any) -> Any:
    """What msgspec calls for a field of a type that it does not know."""
    if not is_model(cls):
        return value  # msgspec looks whether it is one
    try:
        return cls.__pydantic_validator__.validate_json(to_json(value))
    except ValueError as error:
        raise ValueError(reason_of(error) or str(error)) from cause_of(error)


def reason_of(error: BaseException) -> str | None:
    """What pydantic found, in one line and without what was given, which may be a secret. It names
    the tag of a union, though."""
    errors = getattr(error, "errors", None)
    if type(error).__module__.split(".")[0] not in ("pydantic", "pydantic_core") or errors is None:
        return None
    found = errors(include_url=False, include_context=False, include_input=False)
    first = "; ".join(_told(each) for each in found[:_TOLD])
    return first if len(found) <= _TOLD else f"{len(found)} mistakes, the first: {first}"


def cause_of(error: BaseException) -> BaseException | None:
    """What an error of ours may name as its cause. Not pydantic's own: its text shows what was
    given, and a traceback is kept with a dead letter."""
    return error if reason_of(error) is None else None


def _told(found: Mapping[str, Any]) -> str:
    place = ".".join(map(str, found["loc"]))
    return f"{place}: {found['msg']}" if place else str(found["msg"])


# --- describe ---------------------------------------------------------------------------------


def json_schema(annotation: Any, *, written: bool, prefix: str = "") -> dict[str, Any]:
    """The JSON Schema (2020-12) of what is written, or of what can be read. ``prefix`` goes before
    the names of its definitions. Raises what pydantic raises."""
    schema: dict[str, Any] = _adapter(annotation).json_schema(
        mode="serialization" if written else "validation",
        ref_template=f"#/$defs/{prefix}{{model}}",
    )
    if prefix and "$defs" in schema:
        schema["$defs"] = {prefix + name: each for name, each in schema["$defs"].items()}
    return schema
