"""What other programs wrote that is no CloudEvent, read by a decoder of the application's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from busway import BuswayError, Envelope
from busway.codec import JsonCodec, decode
from busway.transport import Raw

from ._tenure import Record, Tenure
from ._wire import Read, read

__all__ = ["Decoder", "Foreign", "Foreigners", "Reader", "reader"]


class Foreign(msgspec.Struct, frozen=True):
    """A record of another program's, as it lies in Kafka."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    """Seconds since 1970 (UTC): the record's own."""
    key: bytes | None
    value: bytes | None
    """None: a tombstone."""
    headers: Sequence[tuple[str, bytes | None]]


Decoder = Callable[[Foreign], Envelope | None]
"""Makes an event of a record. ``Envelope("click.seen", {"page": "/"})`` is enough: what it leaves
out comes from the record, the key too, and the id is made from where the record lies, so that it is
the same each time. None, and any error, means that it cannot: the record is set aside among the
dead letters as it came. It is called on the event loop, and must not wait."""


Reader = Callable[[Tenure, Record], Read]
"""What a record of a partition says."""


def reader(decoder: Decoder | None) -> Reader:
    """One that asks ``decoder`` about what is no CloudEvent, when there is a decoder."""
    if decoder is None:
        return _ours
    foreigners = Foreigners(decoder)
    return lambda tenure, record: foreigners.read(tenure, record, _ours(tenure, record))


def _ours(tenure: Tenure, record: Record) -> Read:
    return read(record.key, record.value, record.headers)


class Foreigners:
    """Of one transport."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._codec = JsonCodec(max_size=None)

    def read(self, tenure: Tenure, record: Any, said: Read) -> Read:
        """What a record says, where ``said`` is that there is no envelope in it."""
        if not isinstance(said.content, Raw) or _tells_of_ours(record.headers):
            return said
        foreign = Foreign(
            tenure.topic,
            tenure.number,
            record.offset,
            record.timestamp / 1000,
            record.key,
            record.value,
            record.headers,
        )
        event: Any
        try:
            event = self._decoder(foreign)
        except Exception as error:  # the application's: whatever it is, the record stays
            return _refused(said, f"the decoder raised {type(error).__name__}: {error}")
        if event is None:
            return _refused(said, "the decoder made nothing of it")
        if not isinstance(event, Envelope):
            return _refused(said, f"the decoder returned a {type(event).__name__}, no Envelope")
        try:
            # What can be handled must be possible to retry, too; so it is written here, once.
            written = self._codec.encode(_completed(event, foreign))
            return said._replace(content=decode(written, content_type=self._codec.content_type))
        except BuswayError as error:
            return _refused(said, f"the decoder's envelope cannot be used: {error}")


def _tells_of_ours(headers: Sequence[tuple[str, bytes | None]]) -> bool:
    """Whether it says of itself that it is a CloudEvent, or that the bus wrote it."""
    for name, data in headers:
        lower = name.lower()
        if lower == "ce_specversion" or name.startswith("busway-"):
            return True
        if lower == "content-type" and (data or b"").lower().startswith(b"application/cloudevents"):
            return True
    return False


def _completed(event: Envelope, foreign: Foreign) -> Envelope:
    """With what the decoder left out."""
    missing: dict[str, Any] = {}
    if event.given_id is None:
        missing["given_id"] = f"{foreign.topic}-{foreign.partition}-{foreign.offset}"
    if not event.source:
        missing["source"] = foreign.topic
    if not event.timestamp:
        missing["timestamp"] = foreign.timestamp
    if event.subject is None and foreign.key is not None:
        missing["subject"] = foreign.key.decode("utf-8", "backslashreplace")
    return msgspec.structs.replace(event, **missing) if missing else event


def _refused(said: Read, reason: str) -> Read:
    assert isinstance(said.content, Raw)
    return said._replace(content=msgspec.structs.replace(said.content, reason=reason))
