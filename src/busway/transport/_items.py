"""What goes out: an envelope or raw bytes, where to, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Final, Literal, Protocol

import msgspec

from ..message import Envelope

__all__ = [
    "WRITTEN",
    "Address",
    "Encoder",
    "NotWritten",
    "Outcome",
    "Outgoing",
    "Purpose",
    "Raw",
    "Start",
    "Story",
    "Unknown",
    "Written",
]

Start = Literal["earliest", "latest"] | datetime
"""Where a group that the broker has never seen begins: with what is kept, with what comes from now
on, or with what was sent at a moment or after it (with a time zone)."""


class Purpose(Enum):
    """What an address is for."""

    EVENT = "event"
    """Where publishers send: every group whose patterns match gets it."""
    RETRY = "retry"
    """For one group only: what it failed at and will try again."""
    DEAD = "dead"
    """For one group only: what it gave up on. Nobody receives it; ``Browses`` reads it."""
    REPLY = "reply"
    """For one group only: answers to its requests."""


class Address(msgspec.Struct, frozen=True):
    """Where an item goes: a channel, for a purpose, of a group (None for events)."""

    channel: str
    purpose: Purpose = Purpose.EVENT
    group: str | None = None


class Raw(msgspec.Struct, frozen=True):
    """Bytes that nobody could decode, kept as they came."""

    data: bytes
    content_type: str | None = None
    headers: Mapping[str, str] = {}
    """What the broker held beside them, as text."""
    reason: str = ""
    """Why they could not be decoded."""


class Story(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happened to an envelope in one group so far. Travels beside it, never inside it."""

    group: str
    handler: str = ""
    attempts: int = 0
    """Failed attempts so far."""
    first_failed: float | None = None
    """Seconds since 1970 (UTC)."""
    last_failed: float | None = None
    kind: str = ""
    """The name of the last exception's type."""
    reason: str = ""
    """What the last exception said."""
    traceback: str = ""
    """The last exception's traceback, at most 8,192 characters of its end."""
    verdict: str = ""
    """Why no further attempt was made; only in a dead letter."""
    replays: int = 0
    """How often it was replayed from the dead letters."""


class Encoder(Protocol):
    """Turns an envelope into bytes: the bus's ``codec`` with its ``max_size``."""

    content_type: str

    def encode(self, envelope: Envelope, /) -> bytes:
        """Raises ``EncodeError`` or ``TooLarge``."""
        ...


class Outgoing(msgspec.Struct):
    """One item to send. The envelope in it is never changed, whatever it is sent for."""

    content: Envelope | Raw
    address: Address
    encoder: Encoder
    """Encodes the content, for an adapter that writes bytes. Every item is encoded before the
    first is written; one that cannot be is ``NotWritten`` with that error, the others are sent."""
    attempt: int = 1
    """Which attempt its next handling will be."""
    due: float | None = None
    """Not to be handled before this moment (seconds since 1970, UTC)."""
    story: Story | None = None
    waits: bool = True
    """Whether the sender may be made to wait for room. False for what a handler publishes and for
    the bus's own re-sends: those would otherwise wait for themselves. Overshoot is counted."""


class Written(msgspec.Struct, frozen=True):
    """The broker has it."""


class NotWritten(msgspec.Struct, frozen=True):
    """The broker does not have it; sending it again cannot make a duplicate."""

    error: BaseException


class Unknown(msgspec.Struct, frozen=True):
    """It may have been written: the answer never came."""

    error: BaseException


Outcome = Written | NotWritten | Unknown
WRITTEN: Final = Written()
