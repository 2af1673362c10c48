"""What a bus tells others of its events: schemas, and an AsyncAPI document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._parts import Parts

__all__ = ["Describing"]


class Describing:
    """Schemas and AsyncAPI."""

    _parts: Parts
    _service: str

    def schemas(self, *only: str | type) -> dict[str, dict[str, Any]]:
        """A JSON Schema (2020-12) for each event, by topic.

        The topics are those of every class that is declared in this process, and those that
        handlers of this bus take by their names; ``only`` chooses among them by patterns, topics or
        declared classes. A declared class is described as it is written, with ``x-schemaversion``,
        its version. A topic without one is described by what its handlers take; where they say
        nothing of it, the schema allows everything. Each schema has all it refers to in ``$defs``.
        A class that JSON Schema has no words for is any value, with a ``description`` that says
        why.

        Raises:
            EventError: a class in ``only`` is not declared.
            OptionError: a topic in ``only`` is nobody's.
            PatternError: a malformed pattern.
        """
        from ._catalogue import Catalogue  # late: few buses are asked

        events = Catalogue(self._parts)
        return {topic: events.schema(topic) for topic in events.chosen(only)}

    def asyncapi(
        self,
        *,
        title: str | None = None,
        version: str = "1.0.0",
        description: str | None = None,
        sends: Iterable[str | type] | None = None,
    ) -> dict[str, Any]:
        """The AsyncAPI 3.0 document of this bus, as plain objects that ``json.dumps`` writes.

        Channels are those of the bus, messages are topics in their envelopes, and each handler is
        an operation that receives, with its group. Servers are those of the bus's URL, without
        user, password and query; a bus in this process, or made of a transport object, has none.

        Args:
            title: Of the service; else the name of the bus's service.
            version: Of the service, not of AsyncAPI.
            description: Of the service.
            sends: What this service publishes: topics, patterns or declared classes. Nothing tells
                a bus what its application will publish, so without it that is every declared class.

        Raises:
            EventError: a class in ``sends`` is not declared.
            OptionError: ``sends`` is no list.
            PatternError: a malformed pattern.
        """
        from ._asyncapi import About, document  # late: few buses are asked
        from ._catalogue import Catalogue

        parts = self._parts
        name = self._service if title is None else title
        about = About(name, version, description, parts.url, parts.settings.codec.content_type)
        events = Catalogue(parts)
        operations = [*events.received(), *events.sent(sends)]
        named = dict.fromkeys(name for each in operations for name in each.messages)
        return document(about, map(events.described, named), operations)
