"""JSON Schema of events that pydantic does not know: Structs, and classes of attrs."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from ._kinds import is_typed

__all__ = ["knows", "returned_by", "schema_of"]

_REFERENCE = "#/components/schemas/{name}"


def knows(kind: Any) -> bool:
    """Whether its schema is to be made here."""
    return is_typed(kind)


def returned_by(call: Callable[..., Any]) -> Any:
    """What a handler says it returns; None where it does not."""
    try:
        return typing.get_type_hints(inspect.unwrap(call)).get("return")
    except (NameError, TypeError):
        return None


def schema_of(kind: Any, title: str) -> dict[str, Any]:
    """As FastStream takes it: a schema with a title, and what it refers to under ``$defs``.

    A document is for reading: what has no schema is said to be anything, and hides nothing else.
    """
    if not is_typed(kind):
        return {"title": title}
    try:
        (body,), defined = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
    except TypeError as error:
        return {"title": title, "description": f"it has no JSON Schema: {error}"}
    reference = body.get("$ref", "")
    if reference:
        name = reference.rpartition("/")[2]
        body = {**defined.pop(name), "title": name}
    else:
        body = {**body, "title": title}
    return {**body, "$defs": defined} if defined else body
