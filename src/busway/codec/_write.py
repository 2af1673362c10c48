"""From an envelope to bytes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw

from .._media import JSON_DATA
from .._moment import as_moment, as_number
from .._pydantic import is_of_model
from ..errors import EncodeError, TooLarge
from ..message import Envelope
from ._blame import blame
from ._wire import JSON, REFUSALS, Form, Written, format_of, shorten

__all__ = ["plain", "refused", "too_large", "written"]

_LEAST, _MOST = -(2**31), 2**31 - 1  # CloudEvents integers have 32 bits


def too_large(envelope: Envelope, size: int, max_size: int) -> TooLarge:
    return TooLarge(
        f"{envelope.type}: the envelope takes {size:,} bytes, over the limit of {max_size:,}. "
        "Send a reference to where the data lies, or raise max_size."
    )


def written(envelope: Envelope, form: Form) -> Written:
    """The attributes as they stand on the wire, data not yet encoded. Raises what msgspec raises,
    or ``EncodeError``."""
    key = envelope.subject
    topic, source, data = envelope.type, envelope.source, envelope.data
    version = envelope.schema_version
    if not topic or not source:
        raise EncodeError(f"{topic or 'an envelope'}: type and source may not be empty")
    if version != 1 and not _LEAST <= version <= _MOST:
        raise EncodeError(f"{topic}: version {version} is over 32 bits")
    wire = Written(
        envelope.given_id or envelope.id,
        source,
        topic,
        as_moment(as_number(envelope.timestamp)),
        key,
        form.data_type,
        data,
        key,
        envelope.given_correlation_id,
        envelope.causation_id,
        envelope.idempotency_key,
        version,
        envelope.tenant,
        envelope.user,
        envelope.traceparent,
        envelope.tracestate,
        envelope.reply_to,
    )
    if type(data) is Raw:
        _place(wire, envelope, form)
    elif _may_be_model(data) and is_of_model(data):
        # Not left to the hook: msgspec would write a dataclass of pydantic by rules of its own.
        wire.data = form.of_model(data)
    if envelope.aggregate is not None:
        wire.aggregatetype, wire.aggregateid = envelope.aggregate
    if envelope.resource is not None:
        wire.resourcetype, wire.resourceid = envelope.resource
    if envelope.headers:
        wire.headers = _header_text(envelope)
    return wire


def _may_be_model(data: object) -> bool:
    # The event is asked first, because that is eight times quicker than to ask its class.
    try:
        return hasattr(data, "__pydantic_validator__")
    except Exception:  # of a ``__getattr__`` of its own
        return True


def _place(wire: Written, envelope: Envelope, form: Form) -> None:
    """Put data in that is encoded already: as it is, or wrapped where it is of another form.

    It is never transcoded. JSON says base64 where MessagePack says bytes and null where
    MessagePack says infinity, so a re-send by another codec would change what was published.
    """
    kind = envelope.content_type or JSON_DATA
    wire.datacontenttype = kind
    raw: Raw = wire.data
    of = format_of(kind)
    if of is not None:
        # Unchecked bytes, laid in the document as they are, could write attributes of their own.
        try:
            of.check(raw)
        except REFUSALS as error:
            raise EncodeError(
                f"{envelope.type}: data is a msgspec.Raw that is not {kind}: {shorten(error)}"
            ) from error
    if of is form:
        return
    if form.wraps_in_base64:
        wire.data, wire.data_base64 = None, bytes(raw)
    else:
        wire.data = bytes(raw)


def _header_text(envelope: Envelope) -> str:
    headers: Mapping[Any, Any] = envelope.headers
    for name, value in headers.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise EncodeError(
                f"{envelope.type}: header {name!r} is {type(value).__name__}; headers are text. "
                "Put other values into the event."
            )
    return JSON.encode(dict(headers)).decode()


def refused(envelope: Envelope, form: Form, error: Exception) -> EncodeError:
    """What to raise for what msgspec raised."""
    if isinstance(error, EncodeError):
        return error
    where = blame(envelope.data, form.encode) if type(envelope.data) is not Raw else ""
    if isinstance(error, RecursionError):
        where, hint = "", "it is nested too deeply, or contains itself"
    else:
        hint = shorten(error)
    at = f" at {where}" if where else ""
    return EncodeError(
        f"{envelope.type}: {type(envelope.data).__name__} cannot be encoded as {form.name}{at}: "
        f"{hint}. Use msgspec structs, dataclasses, attrs classes, pydantic models, builtins, "
        "datetime, Decimal, UUID or enums, or convert the value before publishing."
    )


def plain(moment: datetime) -> str:
    """A moment as RFC 3339 has it."""
    text: str = msgspec.to_builtins(moment)
    return text
