"""An item as the fields of a stream entry, and back.

``event`` holds the envelope as the bus's codec writes it (one CloudEvents document), ``raw`` the
bytes that nobody could decode. Beside them stands only what differs from an event's first delivery.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from busway import Envelope, Undecodable
from busway.codec import decode
from busway.transport import Outgoing, Raw, Story

__all__ = ["Entry", "entry", "envelope", "fields_of"]

_stories = msgspec.json.Decoder(Story)
_text_headers = msgspec.json.Decoder(dict[str, str])


class Entry(msgspec.Struct, gc=False):
    """What one stream entry says."""

    content: Envelope | Raw
    attempt: int = 1
    story: Story | None = None


def fields_of(item: Outgoing) -> list[bytes]:
    """Names and values in turn. Raises what the encoder raises."""
    content = item.content
    if isinstance(content, Envelope):
        fields = [b"event", item.encoder.encode(content)]
    else:
        fields = [b"raw", content.data, b"reason", content.reason.encode()]
        if content.content_type is not None:
            fields += [b"content-type", content.content_type.encode()]
        if content.headers:
            fields += [b"headers", msgspec.json.encode(dict(content.headers))]
    if item.attempt != 1:
        fields += [b"attempt", b"%d" % item.attempt]
    if item.story is not None:
        fields += [b"story", msgspec.json.encode(item.story)]
    return fields


def entry(fields: Sequence[bytes]) -> Entry:
    """What stands in an entry. What nobody can read becomes a ``Raw`` that says why."""
    if len(fields) == 2 and fields[0] == b"event":
        return Entry(envelope(fields[1]))
    named = dict(zip(fields[::2], fields[1::2], strict=False))
    event = named.get(b"event")
    if event is not None:
        content: Envelope | Raw = envelope(event)
    else:
        content = _raw(named)
    try:
        attempt, story = named.get(b"attempt"), named.get(b"story")
        return Entry(
            content,
            1 if attempt is None else int(attempt),
            None if story is None else _stories.decode(story),
        )
    except (ValueError, msgspec.MsgspecError) as error:
        reason = f"what stands beside the event cannot be read: {error}"
        return Entry(Raw(event or b"", reason=reason) if event is not None else content)


def envelope(data: bytes) -> Envelope | Raw:
    """What stands in the field ``event``."""
    try:
        return decode(data)
    except Undecodable as error:
        return Raw(data, reason=str(error))


def _raw(named: dict[bytes, bytes]) -> Raw:
    data = named.get(b"raw")
    if data is None:
        # Somebody else's entry: keep all of it, so that a person can see what it was.
        shown: dict[str, Any] = {
            name.decode(errors="replace"): value.decode(errors="replace")
            for name, value in named.items()
        }
        whole = msgspec.json.encode(shown)
        return Raw(whole, "application/json", reason="the entry has no field 'event'")
    headers = named.get(b"headers")
    kind = named.get(b"content-type")
    return Raw(
        data,
        None if kind is None else kind.decode(errors="replace"),
        {} if headers is None else _headers(headers),
        named.get(b"reason", b"").decode(errors="replace"),
    )


def _headers(data: bytes) -> dict[str, str]:
    """What was written beside raw bytes; somebody else may have written something else."""
    try:
        return _text_headers.decode(data)
    except (ValueError, msgspec.MsgspecError):
        return {"headers": data.decode(errors="replace")}
