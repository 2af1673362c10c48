"""What stands on FastStream's wire: where a message lay, what it says of itself, and how an event
is told to those who know nothing of the bus.

FastStream knows a body, text headers and a correlation id. The attributes of an event travel beside
them as the headers of CloudEvents' binary mode, so that one that comes back is the same event, and
a record in Kafka is a CloudEvent to anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, repeat
from typing import Annotated, Any, Final, NamedTuple, cast

import msgspec
from faststream import PublishCommand, StreamMessage

from busway import Envelope, Message
from busway.codec import encode_binary

__all__ = [
    "HOPS",
    "TRACE",
    "Lying",
    "address_of",
    "addresses_of",
    "attributes_of",
    "body_of",
    "headers_of",
    "is_model",
    "json_of",
    "key_of",
    "lying",
    "own_headers",
    "parent_of",
    "texts",
    "told",
    "trace_of",
]

HOPS: Final = "busway-hops"
"""The header that lists where an event has been; ``relay`` has the same."""

JSON: Final = "application/json"
_BYTES: Final = "application/octet-stream"

TRACE: Final = ("traceparent", "tracestate")

_CLOUD: Final = "ce_"
_TOLD: Final = (
    *("id", "source", "time", "subject", "correlationid", "causationid", "idempotencykey"),
    *("schemaversion", "tenant", "userid"),
    *("aggregatetype", "aggregateid", "resourcetype", "resourceid"),
)
"""The attributes that are read, by the names that the wire format has."""
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_Version = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
_FRAMEWORK: Final = frozenset({"content-type", "correlation_id", "message_id", "reply_to"})
"""What FastStream itself says there."""
_ADDRESSES: Final = ("topic", "subject", "routing_key")


class Lying(NamedTuple):
    """Where a message lies, as its broker says."""

    place: str | None = None
    """An id that is the same whenever it is delivered. None where nothing is kept."""
    time: datetime | None = None
    """When it was written."""
    key: str | None = None


def address_of(raw: Any) -> str:
    """The stream, channel, list or topic that a message of FastStream's came by; of a batch, its
    first."""
    return addresses_of(raw)[0]


def addresses_of(raw: Any) -> list[str]:
    """Those of each message of this delivery. A batch of Redis's has one for all, and one of
    Kafka's holds records of each topic that its subscriber reads."""
    return [_address(each) for each in _records(raw)]


def _address(record: Any) -> str:
    if isinstance(record, Mapping):
        return str(cast("Mapping[str, Any]", record).get("channel", ""))
    found = (getattr(record, name, None) for name in _ADDRESSES)
    return next((str(each) for each in found if each), "")


def lying(raw: Any) -> list[Lying]:
    """Where each message of this delivery lies; of a batch there are several."""
    if isinstance(raw, Mapping):
        delivery = cast("Mapping[str, Any]", raw)
        ids: list[Any] = delivery.get("message_ids") or []
        return [_entry(str(delivery["channel"]), _text(id)) for id in ids] or [Lying()]
    return [_record(each) for each in _records(raw)]


def _records(raw: Any) -> tuple[Any, ...]:
    if isinstance(raw, list | tuple):
        return tuple(raw)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return (raw,)


def _entry(stream: str, id: str) -> Lying:
    return Lying(f"{stream}-{id}", _moment(int(id.partition("-")[0])))


def _record(record: Any) -> Lying:
    if isinstance(record, Message):
        # An event of a BusBroker's: where it lies is the transport's matter, and its id is the same
        # at every try.
        event = record.envelope
        return Lying(event.id, event.time, event.key)
    partition, offset = getattr(record, "partition", None), getattr(record, "offset", None)
    if partition is None or offset is None:
        return Lying()
    place = f"{record.topic}-{partition}-{offset}"
    written = _moment(getattr(record, "timestamp", None) or 0)
    return Lying(place, written, _key(getattr(record, "key", None)))


def _key(key: Any) -> str | None:
    return None if key is None else _text(key)


def _moment(milliseconds: int) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds > 0 else None


def key_of(cmd: PublishCommand, number: int) -> str | None:
    """The key that a message of this command is sent with, as the event of its record will have it.
    None where the broker knows no keys."""
    # Of Kafka's commands, whose classes cannot be imported where its client is not installed.
    each = getattr(cmd, "key_for", None)
    return _key(getattr(cmd, "key", None) if each is None else each(number))


def parent_of(msg: StreamMessage[Any]) -> Envelope:
    """A message as what causes events."""
    headers = texts(msg.headers)
    place = lying(msg.raw_message)[0].place
    return Envelope(
        headers.get(f"{_CLOUD}type") or address_of(msg.raw_message) or "faststream",
        given_id=headers.get(f"{_CLOUD}id") or place or msg.message_id,
        given_correlation_id=msg.correlation_id,
        tenant=headers.get(f"{_CLOUD}tenant"),
        user=headers.get(f"{_CLOUD}userid"),
        traceparent=headers.get("traceparent"),
        tracestate=headers.get("tracestate"),
    )


def own_headers(headers: Mapping[Any, Any]) -> dict[str, str]:
    """Those that the application put on a message."""
    return {
        name: _text(value)
        for name, value in ((_text(name), value) for name, value in headers.items())
        if name not in _FRAMEWORK
        and name not in TRACE
        and not name.startswith(_CLOUD)
        and not name.lower().startswith("busway-")
    }


def told(msg: StreamMessage[Any]) -> list[dict[str, Any]]:
    """The headers of each message of this delivery, as text. Those of an event of a BusBroker's
    say what the event says of itself, too: FastStream has only the application's own."""
    given: Sequence[Mapping[Any, Any]] = msg.batch_headers or [msg.headers]
    records = chain(_records(msg.raw_message), repeat(None))
    return [
        {**headers_of(record.envelope, "", ""), **texts(headers)}
        if isinstance(record, Message)
        else texts(headers)
        for headers, record in zip(given, records, strict=False)
    ]


def attributes_of(headers: Mapping[str, Any]) -> dict[str, Any]:
    """What an event is told to be by the headers of its message, as ``Bus.envelope`` takes it, and
    its ``schema_version``. What cannot be read is left out: the message is not to be lost by it."""
    told = {
        name: str(headers[f"{_CLOUD}{name}"]) for name in _TOLD if headers.get(f"{_CLOUD}{name}")
    }
    known = {
        "id": told.get("id"),
        "key": told.get("subject"),
        "source": told.get("source"),
        "time": _time(told.get("time", "")),
        "correlation_id": headers.get("correlation_id") or told.get("correlationid"),
        "idempotency_key": told.get("idempotencykey"),
        "schema_version": _version(told.get("schemaversion", "")),
        "tenant": told.get("tenant"),
        "user": told.get("userid"),
        "aggregate": _ref(told.get("aggregatetype", ""), told.get("aggregateid", "")),
        "resource": _ref(told.get("resourcetype", ""), told.get("resourceid", "")),
    }
    known = {name: value for name, value in known.items() if value is not None}
    # Not what is being handled here: that is this very message.
    return {**known, "causation_id": told.get("causationid")}


def _time(text: str) -> datetime | None:
    try:
        return msgspec.convert(text, _Moment).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        return None


def _version(text: str) -> int | None:
    try:
        return msgspec.convert(text, _Version, strict=False)
    except msgspec.ValidationError:
        return None


def _ref(kind: str, id: str) -> tuple[str, str] | None:
    return (kind, id) if kind or id else None


def headers_of(envelope: Envelope, hops: str, content_type: str) -> dict[str, str]:
    """An event as the headers of a message."""
    attributes = {
        "specversion": "1.0",
        "id": envelope.id,
        "type": envelope.type,
        "source": envelope.source,
        "time": envelope.time.isoformat().replace("+00:00", "Z"),
        "subject": envelope.key,
        "correlationid": envelope.correlation_id,
        "causationid": envelope.causation_id,
        "idempotencykey": envelope.idempotency_key,
        "schemaversion": None if envelope.schema_version == 1 else str(envelope.schema_version),
        "tenant": envelope.tenant,
        "userid": envelope.user,
    }
    for name in ("aggregate", "resource"):
        kind, id = getattr(envelope, name) or ("", "")
        attributes |= {f"{name}type": kind, f"{name}id": id}
    cloud = {f"{_CLOUD}{name}": value for name, value in attributes.items() if value}
    own = {n: v for n, v in own_headers(envelope.headers).items() if n not in cloud}
    return {**own, **trace_of(envelope), **cloud, HOPS: hops, "content-type": content_type}


def trace_of(envelope: Envelope) -> dict[str, str]:
    """The trace context of an event, as headers."""
    return {name: getattr(envelope, name) for name in TRACE if getattr(envelope, name)}


def body_of(envelope: Envelope) -> tuple[bytes, str]:
    """The data of an event as a message's body, and its content type: JSON, or bytes as they are.
    Raises TypeError or ValueError for what cannot be either."""
    data = envelope.data
    kind = JSON
    if type(data) is msgspec.Raw:
        kind = envelope.content_type or JSON
        if "msgpack" not in kind:
            return bytes(data), kind
        data, kind = msgspec.msgpack.decode(data), JSON
    if isinstance(data, bytes):
        return data, _BYTES
    return json_of(envelope.type, data), kind


def is_model(value: object) -> bool:
    """Whether it is of a model, or a dataclass, of pydantic."""
    return hasattr(type(value), "__pydantic_serializer__")


def json_of(topic: str, data: Any) -> bytes:
    """Data as the bus would write it: a body that a bus in memory sends is that of one that a
    broker keeps, also where models of pydantic have aliases. Raises EncodeError."""
    _, body = encode_binary(Envelope(topic, data, "faststream"), max_size=None)
    return body


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def texts(headers: Mapping[Any, Any]) -> dict[str, Any]:
    """Headers whose names and values are text where a client left bytes; what is no text in UTF-8
    has U+FFFD in its place, for a message is not to be lost by a header."""
    return {
        _text(name): _text(value) if isinstance(value, bytes) else value
        for name, value in headers.items()
    }
