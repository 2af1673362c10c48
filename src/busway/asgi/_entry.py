"""From an envelope to what an event stream sends: Server-Sent Events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import msgspec

from .._convert import converter
from .._media import JSON_DATA, data_format
from ..codec import JsonCodec
from ..message import Envelope

__all__ = ["BEAT", "LONGEST_ID", "Entry", "Render", "entry_of", "gap", "place_of", "shown", "wait"]

Render: TypeAlias = Callable[[Envelope], Any]
"""What a browser is shown of an event, to be encoded as JSON; None leaves the event out."""

LONGEST_ID: Final = 1024
"""Characters of an event's id, quoted."""

BEAT: Final = b":\n"
"""A comment: nobody sees it, and a connection that is broken is found out."""

_json = JsonCodec(max_size=None)
_plain = converter(Any)


class _Document(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")


_read = msgspec.json.Decoder(_Document).decode


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One event, encoded once for all who look on."""

    id: str
    topic: str
    timestamp: float
    chunk: bytes


def shown(envelope: Envelope) -> Mapping[str, Any]:
    """What a browser is shown unless somebody says otherwise: nothing of who did it, for whom, and
    in what conversation, which is not for everybody."""
    return {
        "id": envelope.id,
        "type": envelope.type,
        "time": envelope.time,
        "subject": envelope.subject,
        "data": _data_of(envelope),
    }


def entry_of(envelope: Envelope, run: str, render: Render, *, named: bool) -> Entry | None:
    """None for an event that is left out. Raises EncodeError, and what ``render`` raises."""
    content = render(envelope)
    if content is None:
        return None
    id = quote(envelope.id, safe="")
    # A browser's place stays where it was when an id is longer than it may send.
    lines = [f"id: {run}.{id}".encode()] if len(id) <= LONGEST_ID else []
    if named:
        lines.append(b"event: " + " ".join(envelope.type.split()).encode())
    # JSON off a wire may be laid out in lines.
    lines += [b"data: " + line for line in msgspec.json.encode(content).splitlines()]
    return Entry(envelope.id, envelope.type, envelope.timestamp, b"\n".join([*lines, b"\n"]))


def gap(missed: int | None, why: str) -> bytes:
    """Something is missing here; ``missed`` is how many at most, or null."""
    data = msgspec.json.encode({"missed": missed, "why": why})
    return b"event: busway.gap\ndata: " + data + b"\n\n"


def place_of(run: str, number: int, last: Entry | None) -> bytes:
    """Where a browser is that has seen no event: it is no event itself, and changes only what is
    sent as Last-Event-ID. By the number in this process, by the event before it in others; an
    event's own id, quoted, has no exclamation mark."""
    id = "" if last is None else quote(last.id, safe="")
    after = f"!{id}" if 0 < len(id) <= LONGEST_ID else ""
    return f"id: {run}.!{number}{after}\n\n".encode()


def wait(seconds: float) -> bytes:
    """How long a browser is to wait before it connects again; what is sent next goes on."""
    return b"retry: %d\n" % round(seconds * 1000)


def _data_of(envelope: Envelope) -> msgspec.Raw:
    if type(envelope.data) is msgspec.Raw and not _is_json(envelope):
        builtins = _plain(envelope)
        envelope = msgspec.structs.replace(envelope, data=builtins, content_type=None)
    # As the bus would write it, so that a browser sees the same on every transport.
    return _read(_json.encode(envelope)).data


def _is_json(envelope: Envelope) -> bool:
    return data_format(envelope.content_type or JSON_DATA) == "json"
