"""An item as a record of Kafka, and back.

An event is one CloudEvents document in the value (structured mode), or its data in the value and
its attributes in headers that begin with ``ce_`` (binary mode). Beside it stands only what differs
from an event's first delivery, in headers that begin with ``busway-``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import isfinite
from typing import Final, Literal, NamedTuple

import msgspec

from busway import Envelope, Undecodable
from busway.codec import JsonCodec, MsgpackCodec, decode, decode_binary, encode_binary
from busway.transport import Outgoing, Raw, Story

__all__ = ["Headers", "Read", "event_of", "read", "written"]

Headers = Sequence[tuple[str, bytes | None]]

_KIND: Final = "content-type"
_BINARY: Final = "ce_specversion"
_OURS: Final = "busway-"
_ATTEMPT: Final = "busway-attempt"
_DUE: Final = "busway-due"
_STORY: Final = "busway-story"
_RAW: Final = "busway-raw"
_BESIDE_RAW: Final = "busway-raw."
"""Before a header of raw bytes that has a name of ours."""
_TRACE: Final = ("traceparent", "tracestate")
_FIRST: Final = (1, None, None)
_MOST: Final = 1_048_576

_stories = msgspec.json.Decoder(Story)
_JSON: Final = JsonCodec.content_type
_MSGPACK: Final = MsgpackCodec.content_type
_PLAIN: Final[Headers] = [(_KIND, _JSON.encode())]
"""A list, as aiokafka's records have them."""
_PACKED: Final[Headers] = [(_KIND, _MSGPACK.encode())]


class Read(NamedTuple):
    """What one record says."""

    content: Envelope | Raw
    attempt: int = 1
    due: float | None = None
    story: Story | None = None


# --- writing ------------------------------------------------------------------------------------


def written(
    item: Outgoing, mode: Literal["structured", "binary"] = "structured"
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    """Key, value and headers. Raises what the encoder raises."""
    content = item.content
    headers: list[tuple[str, bytes]]
    key: str | None = None
    if isinstance(content, Raw):
        value, headers = content.data, _beside_raw(content)
    elif mode == "structured":
        encoder, key = item.encoder, content.subject
        value, headers = encoder.encode(content), _kind_of(encoder.content_type)
        if item.attempt == 1 and item.due is None and item.story is None:
            return None if key is None else key.encode(), value, headers
        headers = headers.copy()
    else:
        key = content.subject
        limit: int | None = getattr(item.encoder, "max_size", _MOST)
        texts, value = encode_binary(content, max_size=limit)
        headers = [(name, text.encode()) for name, text in texts.items()]
    if item.attempt != 1:
        headers.append((_ATTEMPT, b"%d" % item.attempt))
    if item.due is not None:
        headers.append((_DUE, repr(item.due).encode()))
    if item.story is not None:
        headers.append((_STORY, msgspec.json.encode(item.story)))
    return None if key is None else key.encode(), value, headers


@lru_cache(maxsize=64)
def _kind_of(content_type: str) -> list[tuple[str, bytes]]:
    """What stands beside most of them. Nobody changes it."""
    return [(_KIND, content_type.encode())]


def _beside_raw(raw: Raw) -> list[tuple[str, bytes]]:
    """The headers of bytes that nobody could decode, under their own names where they can be."""
    headers = [(_RAW, raw.reason.encode(errors="backslashreplace"))]
    if raw.content_type is not None:
        headers.append((_KIND, raw.content_type.encode(errors="backslashreplace")))
    for name, text in raw.headers.items():
        taken = name == _KIND or name.startswith(_OURS)
        data = text.encode(errors="backslashreplace")
        headers.append((f"{_BESIDE_RAW}{name}" if taken else name, data))
    return headers


# --- reading ------------------------------------------------------------------------------------


def read(key: bytes | None, value: bytes | None, headers: Headers) -> Read:
    """What stands in a record. What nobody can read becomes a ``Raw`` that says why.

    The key counts where the event names none. Where it is not the event's, give None.
    """
    event = event_of(key, value, headers)
    return _read(key, value, headers) if event is None else Read(event)


def event_of(key: bytes | None, value: bytes | None, headers: Headers) -> Envelope | None:
    """The event of a record that says nothing else; None: ask ``read`` what it says."""
    # Nearly every record of ours is read here: one header, and nothing beside the event.
    kind = _JSON if headers == _PLAIN else _MSGPACK if headers == _PACKED else None
    if kind is None or value is None:
        return None
    try:
        envelope = decode(value, content_type=kind)
    except Undecodable:
        return None
    return _keyed(envelope, key) if envelope.subject is None and key is not None else envelope


def _read(key: bytes | None, value: bytes | None, headers: Headers) -> Read:
    texts, ours = _sorted(headers)
    try:
        beside = _beside(ours) if ours else _FIRST
    except (ValueError, OverflowError, msgspec.MsgspecError) as error:
        reason = f"what stands beside the event cannot be read: {error}"
        return Read(_raw(value, texts, ours, reason))
    if _RAW in ours:
        return Read(_raw(value, texts, ours, _text(ours[_RAW])), *beside)
    try:
        event = _event(value, texts)
    except Undecodable as error:
        return Read(_raw(value, texts, ours, str(error)), *beside)
    return Read(event if event.subject is not None or key is None else _keyed(event, key), *beside)


def _sorted(headers: Headers) -> tuple[dict[str, str], dict[str, bytes]]:
    """Headers as text, and ours apart. What has several values has them with commas between, as
    HTTP has it; of an attribute the last counts."""
    texts: dict[str, str] = {}
    ours: dict[str, bytes] = {}
    for name, data in headers:
        if name.startswith(_OURS):
            ours[name] = data or b""
            continue
        text = "" if data is None else _text(data)
        if name in texts and not name.lower().startswith(("ce_", _KIND)):
            text = f"{texts[name]}, {text}"
        texts[name] = text
    return texts, ours


def _beside(ours: dict[str, bytes]) -> tuple[int, float | None, Story | None]:
    """Attempt, due time and story. Raises ValueError or msgspec's errors."""
    attempt = int(ours.get(_ATTEMPT, b"1"))
    due = float(ours[_DUE]) if _DUE in ours else None
    if attempt < 1 or (due is not None and not isfinite(due)):
        raise ValueError(f"attempt {attempt}, due {due}")
    return attempt, due, _stories.decode(ours[_STORY]) if _STORY in ours else None


def _event(value: bytes | None, texts: dict[str, str]) -> Envelope:
    """Raises Undecodable."""
    kind = _kind(texts)
    if _BINARY in texts and not (kind or "").lower().startswith("application/cloudevents"):
        return decode_binary(texts, value or b"")
    if value is None:
        raise Undecodable("the record has no value")
    envelope = decode(value, content_type=kind)
    others = {
        name: text
        for name, text in texts.items()
        if name.lower() != _KIND and not name.lower().startswith("ce_")
    }
    return _with(envelope, others) if others else envelope


def _kind(texts: dict[str, str]) -> str | None:
    """The content type. Others may write its name otherwise."""
    if _KIND in texts:
        return texts[_KIND]
    return next((text for name, text in texts.items() if name.lower() == _KIND), None)


def _with(envelope: Envelope, others: dict[str, str]) -> Envelope:
    """The envelope with headers that stood beside its document; its own count before them."""
    changes: dict[str, str] = {}
    for name in _TRACE:
        if name in others and getattr(envelope, name) is None:
            changes[name] = others.pop(name)
    return msgspec.structs.replace(envelope, headers=others | dict(envelope.headers), **changes)


def _keyed(envelope: Envelope, key: bytes) -> Envelope:
    """The record's key as the event's: another's, who keeps order by something outside of it."""
    return msgspec.structs.replace(envelope, subject=_text(key))


def _raw(value: bytes | None, texts: dict[str, str], ours: dict[str, bytes], reason: str) -> Raw:
    others = {name: text for name, text in texts.items() if name != _KIND}
    for name, data in ours.items():
        if name.startswith(_BESIDE_RAW):
            others[name.removeprefix(_BESIDE_RAW)] = _text(data)
    return Raw(value or b"", texts.get(_KIND), others, reason)


def _text(data: bytes) -> str:
    """What is not UTF-8 is written out: nothing is dropped."""
    return data.decode("utf-8", "backslashreplace")
