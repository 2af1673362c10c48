"""The AsyncAPI 3.0 document of a bus.

A channel is a channel of the bus, a message is a topic, and an operation is a handler in a channel,
or all that is sent to one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from ._components import Components
from ._schemas import VERSION, Names, Schema

__all__ = ["About", "Described", "Operation", "document"]

_SECURE = {"kafka+ssl": "kafka-secure", "kafka+sasl_ssl": "kafka-secure"}
_ENVELOPE: Final = "CloudEvent"


class About(msgspec.Struct, frozen=True):
    """What the document says of the whole."""

    title: str
    version: str
    description: str | None
    url: str | None
    """Of the broker, without secrets; None where there is none."""
    content_type: str


class Described(msgspec.Struct, frozen=True):
    """A topic, or a pattern of which no topic is known."""

    name: str
    schema: Schema
    is_pattern: bool = False


class Operation(msgspec.Struct, frozen=True):
    """What the service does with topics of one channel."""

    name: str
    action: Literal["send", "receive"]
    channel: str | None
    """None when it cannot be told which."""
    messages: tuple[str, ...]
    """The names of what is described."""
    summary: str
    details: Mapping[str, Any] = {}


class _Channels:
    """The channels of a document, as operations name them."""

    def __init__(self, messages: Mapping[str, str]) -> None:
        self.all: dict[str, Any] = {}
        self._messages = messages
        self._names = Names()
        self._keys: dict[str | None, str] = {}

    def holding(self, operation: Operation) -> tuple[Schema, list[Schema]]:
        """References to an operation's channel and to the messages in it."""
        channel = operation.channel
        if channel not in self._keys:
            key = self._keys[channel] = self._names.fresh(channel or "any")
            self.all[key] = {"address": channel, "messages": {}}
            if channel is None:
                self.all[key]["description"] = "Any channel: the topics are not known beforehand."
        key = self._keys[channel]
        for name in operation.messages:
            known = self._messages[name]
            self.all[key]["messages"][known] = {"$ref": f"#/components/messages/{known}"}
        own = f"#/channels/{key}"
        return {"$ref": own}, [
            {"$ref": f"{own}/messages/{self._messages[name]}"} for name in operation.messages
        ]


def document(
    about: About, described: Iterable[Described], operations: Iterable[Operation]
) -> dict[str, Any]:
    """The document; every operation's messages have to be described."""
    components = Components(**{_ENVELOPE: _envelope()})
    names, keys = Names(), dict[str, str]()
    messages: dict[str, Any] = {}
    for each in described:
        keys[each.name] = key = names.fresh(each.name)
        messages[key] = _message(each, about, components)
    channels, done, taken = _Channels(keys), dict[str, Any](), Names()
    for operation in operations:
        channel, ours = channels.holding(operation)
        done[taken.fresh(operation.name)] = {
            "action": operation.action,
            "channel": channel,
            "messages": ours,
            "summary": operation.summary,
            **({"x-busway": dict(operation.details)} if operation.details else {}),
        }
    servers = _servers(about.url)
    return {
        "asyncapi": "3.0.0",
        "info": _info(about),
        "defaultContentType": about.content_type,
        **({"servers": servers} if servers else {}),
        "channels": channels.all,
        "operations": done,
        "components": {"messages": messages, "schemas": components.schemas},
    }


def _info(about: About) -> dict[str, Any]:
    info = {"title": about.title, "version": about.version}
    return info if about.description is None else {**info, "description": about.description}


def _servers(url: str | None) -> dict[str, Any]:
    """A server for each host of the URL."""
    scheme, _, rest = (url or "").partition("://")
    if scheme in ("", "memory", "null"):
        return {}
    hosts, slash, path = rest.partition("/")
    names = Names()
    base = scheme.partition("+")[0]
    server = {"protocol": _SECURE.get(scheme, base), "description": f"{scheme}://"}
    if path:
        server["pathname"] = slash + path
    return {
        names.fresh(base): {"host": host, **server} for host in (hosts or "localhost").split(",")
    }


def _message(each: Described, about: About, components: Components) -> dict[str, Any]:
    own = components.add(each.name, each.schema)
    version = each.schema.get(VERSION, 1)
    properties: dict[str, Any] = {"data": own}
    if not each.is_pattern:
        properties["type"] = {"const": each.name}
    if version != 1:
        properties["schemaversion"] = {"const": version}
    what = "Events of every topic that matches" if each.is_pattern else "Events of the topic"
    return {
        "name": each.name,
        "title": each.name,
        "summary": f"{what} {each.name}, as CloudEvents 1.0.",
        "contentType": about.content_type,
        "correlationId": {"location": "$message.payload#/correlationid"},
        "payload": {
            "allOf": [
                {"$ref": f"#/components/schemas/{_ENVELOPE}"},
                {"type": "object", "properties": properties},
            ]
        },
    }


def _envelope() -> Schema:
    text = {"type": "string"}
    filled = {**text, "minLength": 1}
    told = {
        "specversion": {"const": "1.0"},
        "id": {**filled, "description": "Names this event. It stays the same whatever is retried."},
        "source": {**filled, "description": "The service that published it."},
        "type": {**filled, "description": "The topic."},
        "time": {**text, "format": "date-time", "description": "When it happened."},
        "subject": {**text, "description": "The key: events of one key are in order."},
        "partitionkey": {**text, "description": "The key again, for brokers."},
        "datacontenttype": {**text, "description": "How data is written."},
        "data": {"description": "The event itself."},
        "data_base64": {**text, "description": "In its place, where it is of another type."},
        "correlationid": {
            **text,
            "description": "The id of the event that began the conversation. Without it, id.",
        },
        "causationid": {**text, "description": "The id of the event that caused this one."},
        "idempotencykey": {**text, "description": "What duplicates are recognised by."},
        "schemaversion": {"type": "integer", "default": 1, "description": "Of data."},
        "tenant": text,
        "userid": text,
        "aggregatetype": text,
        "aggregateid": text,
        "resourcetype": text,
        "resourceid": text,
        "traceparent": {**text, "description": "As W3C Trace Context has it."},
        "tracestate": text,
        "replyto": {**text, "description": "The group that awaits a reply to this request."},
        "headers": {**text, "description": "The application's own, as one JSON object."},
    }
    return {
        "type": "object",
        "description": "A CloudEvents 1.0 event in structured mode.",
        "required": ["specversion", "id", "source", "type"],
        "properties": told,
    }
