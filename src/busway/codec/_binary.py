"""CloudEvents binary mode: attributes in the broker's headers, the event alone in the body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from .._media import JSON_DATA
from ..errors import EncodeError, Undecodable
from ..message import Envelope
from ._read import check_size, gather
from ._wire import JSON, REFUSALS, UNWRITABLE, format_of, shorten
from ._write import plain, refused, too_large, written

__all__ = ["decode_binary", "encode_binary"]

_TRACE = ("traceparent", "tracestate")
_TYPES = ("content-type", "content_type", "datacontenttype")


def encode_binary(
    envelope: Envelope, *, max_size: int | None = 1_048_576
) -> tuple[dict[str, str], bytes]:
    """The headers (``ce_id``, …, ``content-type``) and the body, data as JSON unless it is encoded
    already. The application's own headers go together into ``ce_headers``.

    ``max_size`` is of headers and body together, in bytes.

    Raises:
        EncodeError: as ``Codec.encode``.
        TooLarge: as ``Codec.encode``.
    """
    try:
        wire = written(envelope, JSON)
        attributes = msgspec.structs.asdict(wire)
        data, wrapped = attributes.pop("data"), attributes.pop("data_base64")
        body = wrapped if wrapped is not None else JSON.encode(data)
    except UNWRITABLE as error:
        raise refused(envelope, JSON, error) from error
    kind: str = attributes.pop("datacontenttype")
    if attributes["schemaversion"] == 1:
        del attributes["schemaversion"]
    headers = {"ce_specversion": "1.0"}
    for name, value in attributes.items():
        if value is not None:
            headers[f"ce_{name}"] = plain(value) if name == "time" else str(value)
    headers["content-type"] = kind
    try:
        size = len(body) + sum(len(f"{name}{text}".encode()) for name, text in headers.items())
    except UnicodeEncodeError as error:
        raise EncodeError(f"{envelope.type}: an attribute is no Unicode text: {error}") from error
    if max_size is not None and size > max_size:
        raise too_large(envelope, size, max_size)
    return headers, body


def decode_binary(
    headers: Mapping[str, str | bytes], data: bytes, *, max_size: int | None = None
) -> Envelope:
    """The envelope whose attributes are in ``headers`` and whose event is ``data``.

    Attributes are named ``ce_id`` (Kafka's way) or ``ce-id`` (HTTP's, percent-encoded). Other
    headers are kept as the envelope's own; ``traceparent`` and ``tracestate`` count as the
    attributes where those are missing.

    Raises:
        Undecodable: these are no event. Nothing else is raised, whatever they are.
    """
    check_size(data, max_size)
    try:
        attributes, others, kind = _sorted(headers)
        for name in _TRACE:
            if name in others:
                attributes.setdefault(name, others.pop(name))
        if kind is None:
            kind = _guess(data)
        of = format_of(kind)
        event = Raw(data) if of is None else of.check(data or of.null)
        envelope = gather(attributes, event, of or JSON, others)
        return msgspec.structs.replace(envelope, content_type=kind)
    except REFUSALS as error:
        if isinstance(error, Undecodable):
            raise
        raise Undecodable(f"no CloudEvents 1.0 event (binary mode): {shorten(error)}") from error


def _sorted(
    headers: Mapping[str, str | bytes],
) -> tuple[dict[str, Any], dict[str, str], str | None]:
    from urllib.parse import unquote  # late: few messages need it

    attributes: dict[str, Any] = {}
    others: dict[str, str] = {}
    kind: str | None = None
    for name, value in headers.items():
        # What is not UTF-8 is written out: it must fit into an envelope, and nothing is dropped.
        text = value if isinstance(value, str) else value.decode(errors="backslashreplace")
        lower = name.lower()
        attribute = lower[3:] if lower.startswith(("ce_", "ce-")) else ""
        if lower in _TYPES or attribute == "datacontenttype":
            kind = text
        elif attribute:
            attributes[attribute] = unquote(text, errors="strict") if lower[2] == "-" else text
        else:
            others[name] = text
    return attributes, others, kind


def _guess(data: bytes) -> str:
    """Without a content type: JSON where it is JSON, else bytes that nobody interprets."""
    try:
        JSON.check(data or b"null")
    except REFUSALS:
        return "application/octet-stream"
    return JSON_DATA
