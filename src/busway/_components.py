"""The components of an AsyncAPI document: every message and every schema once, under a name."""

from __future__ import annotations

import json
from typing import Any, cast

from ._schemas import VERSION, Names, Schema

__all__ = ["Components"]

_DEFINITIONS = "#/$defs/"
_LEFT_OUT = {
    "$schema",
    "$defs",
    VERSION,
    "discriminator",  # names the property, in JSON Schema; in AsyncAPI, schemas by its value
}
_BY_NAME = {"properties", "patternProperties", "dependentSchemas"}
_VALUES = {"default", "const", "enum", "examples"}


class Components:
    """Schemas that stand alone, put side by side into one document, spelt as JSON Schema draft 7,
    which is what AsyncAPI reads."""

    def __init__(self, **schemas: Schema) -> None:
        self.schemas = dict(schemas)
        self._names = Names(*schemas)
        self._known: dict[tuple[str, str], str] = {}

    def add(self, topic: str, schema: Schema) -> Schema:
        """A reference to where the schema lies now; a schema that says nothing stays as it is."""
        definitions: dict[str, Schema] = schema.get("$defs", {})
        bare = {key: each for key, each in schema.items() if key not in _LEFT_OUT}
        if not bare or set(bare) == {"$ref"}:
            return self._words(bare, definitions)
        return self._placed(str(bare.get("title", topic)), bare, definitions)

    def _placed(self, name: str, schema: Schema, definitions: dict[str, Schema]) -> Schema:
        """One name may stand for different schemas in two events, and for the same in most."""
        meaning = (name, _meaning(schema, definitions))
        place = self._known.get(meaning)
        if place is None:
            place = self._known[meaning] = self._names.fresh(name)
            self.schemas[place] = {}  # it may refer to itself
            self.schemas[place] = self._words(schema, definitions)
        return {"$ref": f"#/components/schemas/{place}"}

    def _spelt(self, schema: Any, definitions: dict[str, Schema]) -> Any:
        if isinstance(schema, list):
            return [self._spelt(each, definitions) for each in cast("list[object]", schema)]
        if not isinstance(schema, dict):
            return schema
        return self._words(cast("Schema", schema), definitions)

    def _words(self, schema: Schema, definitions: dict[str, Schema]) -> Schema:
        spelt: Schema = {}
        for key, value in schema.items():
            if key in _VALUES:
                spelt[key] = value
            elif key == "$ref" and value.startswith(_DEFINITIONS):
                spelt |= self._referred(value.removeprefix(_DEFINITIONS), definitions)
            elif key in _BY_NAME:
                spelt[key] = {name: self._spelt(each, definitions) for name, each in value.items()}
            elif key not in _LEFT_OUT:
                spelt[_draft_7(key, schema)] = self._spelt(value, definitions)
        return spelt

    def _referred(self, name: str, definitions: dict[str, Schema]) -> Schema:
        if name in definitions:
            return self._placed(name, definitions[name], definitions)
        # By an ``extra_json_schema``, say. The others are to be told of all the same.
        return {"description": f"Any value: its schema refers to {name!r}, which is nowhere."}


def _draft_7(key: str, schema: Schema) -> str:
    """The word for the items of a tuple, and for those behind them."""
    if key == "items" and "prefixItems" in schema:
        return "additionalItems"
    return "items" if key == "prefixItems" else key


def _meaning(schema: Schema, definitions: dict[str, Schema]) -> str:
    """A schema with all that it refers to, as one text."""
    reached: dict[str, Schema] = {}
    waiting: list[Any] = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += cast("list[object]", part)
        elif isinstance(part, dict):
            waiting += cast("Schema", part).values()
        elif isinstance(part, str) and part.startswith(_DEFINITIONS):
            name = part.removeprefix(_DEFINITIONS)
            if name in definitions and name not in reached:
                reached[name] = definitions[name]
                waiting.append(definitions[name])
    return json.dumps([schema, reached], sort_keys=True)
