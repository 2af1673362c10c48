"""The attributes of an envelope on the wire, and the two ways to write them down.

One struct for writing and one for reading, for both forms: CloudEvents gives the names, and the
only differences between the forms are how a value is spelt and what data is native to it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw

from .._media import JSON_DATA, MSGPACK_DATA, DataFormat, data_format
from .._pydantic import as_builtins, as_json

__all__ = [
    "ABSENT",
    "JSON",
    "MSGPACK",
    "REFUSALS",
    "UNWRITABLE",
    "Form",
    "Read",
    "Written",
    "format_of",
    "shorten",
    "unwrap",
]

REFUSALS = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
"""What msgspec and the standard library raise for bytes they will not take."""

UNWRITABLE = (*REFUSALS, TypeError, AttributeError)
"""The same for objects: unsupported types, and dataclasses with fields that were never set."""

ABSENT = Raw()
"""An envelope without data, which is not the same as data that says null."""

_Filled = Annotated[str, Meta(min_length=1)]
# CloudEvents integers have 32 bits. Refusing more here means that what was read can be written.
_Version = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
_Moment = Annotated[datetime, Meta(tz=True)]


class Written(msgspec.Struct, omit_defaults=True, gc=False, tag_field="specversion", tag="1.0"):
    """What is written. It lives for one call, so the garbage collector need not see it."""

    id: str
    source: str
    type: str
    time: datetime
    subject: str | None = None
    datacontenttype: str | None = None
    data: Any = None
    partitionkey: str | None = None
    correlationid: str | None = None
    causationid: str | None = None
    idempotencykey: str | None = None
    schemaversion: int = 1
    tenant: str | None = None
    userid: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    replyto: str | None = None
    # Those that most envelopes do not have stand last, and are filled in afterwards.
    data_base64: bytes | None = None
    aggregatetype: str | None = None
    aggregateid: str | None = None
    resourcetype: str | None = None
    resourceid: str | None = None
    headers: str | None = None


class Read(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What is read of our own envelopes. Everything else is refused here, so that a slower reader
    can keep it."""

    specversion: Literal["1.0"]
    id: _Filled
    source: _Filled
    type: _Filled
    time: _Moment | None = None
    subject: str | None = None
    datacontenttype: str | None = None
    data: Raw = ABSENT
    partitionkey: str | None = None
    correlationid: str | None = None
    causationid: str | None = None
    idempotencykey: str | None = None
    schemaversion: _Version = 1
    tenant: str | None = None
    userid: str | None = None
    aggregatetype: str | None = None
    aggregateid: str | None = None
    resourcetype: str | None = None
    resourceid: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    replyto: str | None = None
    headers: str | None = None


class Form(msgspec.Struct, frozen=True):
    """One way to write attributes and data down."""

    name: str
    data_type: str
    """The content type of data that needs no wrapping in this form."""
    null: Raw
    encode: Callable[[Any], bytes]
    of_model: Callable[[Any], Any]
    """What to encode in place of a model of pydantic."""
    read: Callable[[bytes], Read]
    read_loosely: Callable[[bytes], dict[str, Raw]]
    read_value: Callable[[bytes | Raw], Any]
    check: Callable[[bytes | Raw], Raw]
    """Raises when the bytes are not one whole value of this form. Builds nothing."""
    wraps_in_base64: bool
    """Whether bytes must be spelt as text to lie in this form."""


JSON = Form(
    "json",
    JSON_DATA,
    Raw(b"null"),
    msgspec.json.Encoder(enc_hook=as_json).encode,
    as_json,
    msgspec.json.Decoder(Read).decode,
    msgspec.json.Decoder(dict[str, Raw]).decode,
    msgspec.json.Decoder().decode,
    msgspec.json.Decoder(Raw).decode,
    True,
)
MSGPACK = Form(
    "msgpack",
    MSGPACK_DATA,
    Raw(b"\xc0"),
    msgspec.msgpack.Encoder(enc_hook=as_builtins).encode,
    as_builtins,
    msgspec.msgpack.Decoder(Read).decode,
    msgspec.msgpack.Decoder(dict[str, Raw]).decode,
    msgspec.msgpack.Decoder().decode,
    msgspec.msgpack.Decoder(Raw).decode,
    False,
)

_FORMS: dict[DataFormat, Form] = {"json": JSON, "msgpack": MSGPACK}


def format_of(content_type: str) -> Form | None:
    """The form that data of a content type is in; None when it is neither JSON nor MessagePack."""
    known = data_format(content_type)
    return None if known is None else _FORMS[known]


def shorten(error: BaseException, limit: int = 300) -> str:
    """What an error says, bounded: the text may quote hostile input."""
    text = str(error) or type(error).__name__
    return text if len(text) <= limit else f"{text[:limit]}…"


def unwrap(text: object) -> bytes:
    """The bytes of a ``data_base64``. Raises ``ValueError``."""
    import base64  # late: few messages need it

    if not isinstance(text, str):
        raise ValueError("data_base64 is no text")
    return base64.b64decode(text, validate=True)
