"""From bytes to an envelope, whoever wrote them.

Rule 1: for any bytes at all, an envelope or ``Undecodable``, and nothing else.
Rule 2: what was read can be written again, by either codec: it must be possible to retry it and to
set it aside.
Rule 3: an attribute we have no field for becomes a header. Nothing is dropped.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from ..errors import Undecodable
from ..message import NO_HEADERS, Envelope
from ._wire import ABSENT, JSON, MSGPACK, REFUSALS, Form, Read, format_of, shorten, unwrap

__all__ = ["check_size", "decode", "gather", "received"]

_ENVELOPES: dict[str, Form] = {
    "application/cloudevents+json; charset=utf-8": JSON,
    "application/cloudevents+json": JSON,
    "application/json": JSON,
    "application/cloudevents+msgpack": MSGPACK,
    "application/msgpack": MSGPACK,
    "application/x-msgpack": MSGPACK,
}
# What a MessagePack map begins with. No JSON text does.
_MAP_STARTS = frozenset(bytes([first]) for first in (*range(0x80, 0x90), 0xDE, 0xDF))
_STRICT = ("specversion", "id", "source", "type", "time")
_TEXTS = frozenset(Read.__struct_fields__).difference(_STRICT, ("schemaversion", "data"))
_DIGITS = re.compile(r"-?[0-9]{1,10}")
_FIRST, _LAST = -62_135_596_800.0, 253_402_300_799.0  # the years 1 to 9999, as datetime has them
_decode_headers = msgspec.json.Decoder(dict[str, str]).decode


def decode(
    data: bytes, *, content_type: str | None = None, max_size: int | None = None
) -> Envelope:
    """The envelope in ``data``: CloudEvents structured JSON, or MessagePack as Busway writes it.

    ``content_type`` is what the broker says about the bytes; without it their first byte decides.
    The event stays encoded, as a ``msgspec.Raw`` in ``envelope.data`` whose content type is
    ``envelope.content_type``. ``max_size`` is in bytes; no limit without it, and the memory used
    is in proportion to the bytes given, whatever they claim.

    Raises:
        Undecodable: the bytes are no envelope. Nothing else is raised, whatever they are.
    """
    if max_size is not None:
        check_size(data, max_size)
    if content_type is None:
        form = MSGPACK if data[:1] in _MAP_STARTS else JSON
    else:
        form = _ENVELOPES.get(content_type) or _form(content_type)
    read = form.read
    try:
        try:
            wire = read(data)
        except msgspec.ValidationError:
            return _read_loosely(data, form)
        return received(wire, form)
    except REFUSALS as error:
        if isinstance(error, Undecodable):
            raise
        raise Undecodable(f"no CloudEvents 1.0 envelope ({form.name}): {shorten(error)}") from error


def check_size(data: bytes, max_size: int | None) -> None:
    if max_size is not None and len(data) > max_size:
        raise Undecodable(f"{len(data):,} bytes, over the limit of {max_size:,}")


def _form(content_type: str) -> Form:
    known = _ENVELOPES.get(content_type.partition(";")[0].strip().lower())
    if known is None:
        raise Undecodable(f"content type {content_type[:100]!r} is no single CloudEvents event")
    return known


def received(wire: Read, form: Form) -> Envelope:
    """The envelope of these attributes. Raises what ``decode`` turns into ``Undecodable``."""
    data: Any = wire.data
    kind = wire.datacontenttype
    if kind != form.data_type or data is ABSENT:
        data, kind = _data(wire, form)
    key = wire.subject
    headers = NO_HEADERS if wire.headers is None else _headers(wire.headers)
    if wire.partitionkey != key:
        if key is None:
            key = wire.partitionkey
        elif wire.partitionkey is not None:  # another's, who orders by something else
            headers = dict(headers)
            _keep(headers, "partitionkey", wire.partitionkey)
    moment = time.time() if wire.time is None else wire.time.timestamp()
    if not _FIRST <= moment < _LAST:
        raise Undecodable(f"time {wire.time} is outside the years 1 to 9999 in UTC")
    return Envelope(
        wire.type,
        data,
        wire.source,
        moment,
        key,
        wire.id,
        wire.correlationid,
        wire.causationid,
        wire.idempotencykey,
        wire.schemaversion,
        wire.tenant,
        wire.userid,
        None
        if wire.aggregateid is None and wire.aggregatetype is None
        else (wire.aggregatetype or "", wire.aggregateid or ""),
        None
        if wire.resourceid is None and wire.resourcetype is None
        else (wire.resourcetype or "", wire.resourceid or ""),
        wire.traceparent,
        wire.tracestate,
        wire.replyto,
        headers,
        kind,
    )


def _headers(text: str) -> dict[str, str]:
    try:
        return _decode_headers(text)
    except REFUSALS:  # somebody else's attribute of the same name
        return {"headers": text}


def _data(wire: Read, form: Form) -> tuple[Raw, str]:
    """The data where it is not simply in place, with its content type."""
    kind = wire.datacontenttype
    if wire.data is ABSENT:
        return form.null, form.data_type
    if kind is None or format_of(kind) is form:
        return wire.data, kind or form.data_type
    value = form.read_value(wire.data)
    if isinstance(value, str):
        return _checked(value.encode(), kind)
    if isinstance(value, bytes):
        return _checked(value, kind)
    raise Undecodable(f"data of type {kind[:100]!r} is neither text nor bytes")


def _checked(data: bytes, kind: str) -> tuple[Raw, str]:
    of = format_of(kind)
    return Raw(data) if of is None else of.check(data), kind


def _read_loosely(data: bytes, form: Form) -> Envelope:
    """Read what another producer wrote: attributes we do not know, numbers where we write text,
    data in base64."""
    raw = form.read_loosely(data)
    event = raw.pop("data", ABSENT)
    attributes = {name: form.read_value(value) for name, value in raw.items()}
    wrapped = attributes.pop("data_base64", None)
    if wrapped is None:
        return gather(attributes, event, form)
    if event is not ABSENT:
        raise Undecodable("both data and data_base64 are given")
    kind = _text(attributes.pop("datacontenttype", None) or "application/octet-stream")
    event, kind = _checked(unwrap(wrapped), kind)
    return msgspec.structs.replace(gather(attributes, event, form), content_type=kind)


def gather(
    attributes: Mapping[str, Any], data: Raw, form: Form, beside: Mapping[str, str] | None = None
) -> Envelope:
    """The envelope of attributes of any type. Those without a field of ours are kept as headers,
    and so is what came ``beside`` them."""
    known: dict[str, Any] = {}
    others = dict(beside or {})
    for name, value in attributes.items():
        if value is None:
            continue
        if name in _STRICT:
            known[name] = value
        elif name == "schemaversion" and _whole(value):
            known[name] = int(value)
        elif name in _TEXTS:
            known[name] = _text(value)
        else:
            _keep(others, name, _text(value))
    wire = msgspec.convert(known, Read)
    wire.data = data
    envelope = received(wire, form)
    headers = dict(envelope.headers)
    for name, text in others.items():
        _keep(headers, name, text)
    return msgspec.structs.replace(envelope, headers=headers)


def _whole(value: Any) -> bool:
    """Whether it is a version as we count them; "2024-06" or "1.2.0" is not."""
    if isinstance(value, str):
        return _DIGITS.fullmatch(value) is not None and -(2**31) <= int(value) < 2**31
    return type(value) is int and -(2**31) <= value < 2**31


def _keep(headers: dict[str, str], name: str, text: str) -> None:
    while name in headers:
        name = f"ce_{name}"
    headers[name] = text


def _text(value: Any) -> str:
    """An attribute's value as CloudEvents writes it as text; JSON where it has no rule, and
    MessagePack in base64 where JSON has none."""
    if isinstance(value, str):
        return value
    try:
        encoded = JSON.encode(value)
    except TypeError:  # MessagePack's own: an extension type, or a map with odd keys
        encoded = JSON.encode(MSGPACK.encode(value))
    return (encoded[1:-1] if encoded.startswith(b'"') else encoded).decode()
