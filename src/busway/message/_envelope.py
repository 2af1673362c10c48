"""What travels."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from .._moment import moment
from .._uuid7 import uuid7

__all__ = ["NO_HEADERS", "Envelope", "Ref"]

Ref = tuple[str, str]
"""The type and the id of an aggregate or a resource: ``("order", "o-1")``."""


class _Nothing(dict[str, str]):
    """No headers, for good. A dict, because msgspec writes no other mapping."""

    def _refuse(self, *_: object, **__: object) -> Any:
        raise TypeError("the headers of an envelope are never changed")

    __setitem__ = __ior__ = update = setdefault = _refuse  # pyright: ignore[reportAssignmentType]


NO_HEADERS: Mapping[str, str] = _Nothing()
"""Shared by all that have none: a dict as a default would be made anew for each envelope."""
_identify = threading.Lock()


def _renew_lock() -> None:
    global _identify
    _identify = threading.Lock()


# A forked child has the lock as it was, and not the thread that would let go of it.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class Envelope(msgspec.Struct, frozen=True, repr_omit_defaults=True, gc=False):
    """What travels: the attributes of CloudEvents 1.0 and the event. It is never changed.

    Make one with ``bus.envelope(event)`` or ``message.child(event)``; copy one with
    ``msgspec.structs.replace``. ``data`` is the application's object in the process that published
    it, and a ``msgspec.Raw`` of encoded bytes where it came off a wire (``content_type`` says how
    they are encoded).

    The id is made when it is first looked at or leaves the process, from the envelope's own time:
    most events in one process are handled without anybody asking for it.
    """

    type: str
    """The topic."""
    data: Any = None
    source: str = ""
    timestamp: float = 0.0
    """``time`` in seconds since 1970 (UTC)."""
    subject: str | None = None
    """The key: the unit of order."""
    given_id: str | None = None
    """The id, once somebody gave or asked for one. Read ``id`` instead."""
    given_correlation_id: str | None = None
    """The correlation id of a conversation begun by another envelope. Read ``correlation_id``."""
    causation_id: str | None = None
    idempotency_key: str | None = None
    schema_version: int = 1
    tenant: str | None = None
    user: str | None = None
    aggregate: Ref | None = None
    resource: Ref | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    reply_to: str | None = None
    """The group that awaits a reply to this request."""
    headers: Mapping[str, str] = NO_HEADERS
    content_type: str | None = None
    """How ``data`` is encoded, when it is ``msgspec.Raw``; None for an object of this process."""

    @property
    def id(self) -> str:
        """A UUIDv7, or what the publisher gave. Set once; the same whatever is retried."""
        known = self.given_id
        if known is not None:
            return known
        with _identify:  # two threads may look at once, and must see one id
            if self.given_id is None:
                made = uuid7(self.timestamp)
                msgspec.structs.force_setattr(self, "given_id", made)
                return made
        return self.given_id

    @property
    def topic(self) -> str:
        """The same as ``type``, by the word the rest of the bus uses."""
        return self.type

    @property
    def key(self) -> str | None:
        """The same as ``subject``, by the word the rest of the bus uses."""
        return self.subject

    @property
    def time(self) -> datetime:
        """When it happened, in UTC, to the microsecond. Set once; the same whatever is retried."""
        return moment(self.timestamp)

    @property
    def correlation_id(self) -> str:
        """Names the conversation this belongs to: the id of the envelope that began it."""
        return self.given_correlation_id or self.id

    @property
    def duplicate_key(self) -> str:
        """What a duplicate is recognised by: the topic and the idempotency key if there is one,
        else the id. One key on two topics is two events."""
        key = self.idempotency_key
        return f"{self.type} {key}" if key else self.id
