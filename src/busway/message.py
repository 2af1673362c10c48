"""What travels (``Envelope``) and what a handler sees of it (``Message``)."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Protocol, TypedDict, TypeVar, Unpack

import msgspec

from ._uuid7 import uuid7

__all__ = ["Envelope", "Message", "Pausable", "PublishOptions"]

E = TypeVar("E")

Ref = tuple[str, str]
"""The type and the id of an aggregate or a resource: ``("order", "o-1")``."""


class _Nothing(dict[str, str]):
    """No headers, for good. A dict, because msgspec writes no other mapping."""

    def _refuse(self, *_: object, **__: object) -> Any:
        raise TypeError("the headers of an envelope are never changed")

    __setitem__ = __ior__ = update = setdefault = _refuse  # pyright: ignore[reportAssignmentType]


# Shared by all that have none: a dict as a default would be made anew for each envelope.
_NO_HEADERS: Mapping[str, str] = _Nothing()
_identify = threading.Lock()


def _renew_lock() -> None:
    global _identify
    _identify = threading.Lock()


# A forked child has the lock as it was, and not the thread that would let go of it.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class PublishOptions(TypedDict, total=False):
    """What ``publish``, ``emit``, ``request``, ``envelope`` and ``child`` take beside the event.

    Leaving one out and giving ``None`` are different: ``tenant=None`` says "no tenant", leaving
    ``tenant`` out inherits that of the message being handled.
    """

    id: str
    """Kept as given (a webhook's, a backfill's); else a new UUIDv7."""
    key: str | None
    """The unit of order; else what ``@event(key=…)`` says."""
    source: str
    """Who says so; else the bus's ``service``."""
    headers: Mapping[str, str]
    """The application's own text headers."""
    correlation_id: str
    """Names the whole conversation; else inherited, else the envelope's own id."""
    causation_id: str | None
    """The id of the envelope that caused this one; else that of the message being handled."""
    idempotency_key: str | None
    """What ``dedupe`` recognises a duplicate by; else the id."""
    tenant: str | None
    """Whose data it is; else what ``@event`` says, else that of the message being handled."""
    user: str | None
    """Who did it; else that of the message being handled."""
    aggregate: Ref | None
    """Type and id of what changed, such as ``("order", "o-1")``; else what ``@event`` says."""
    resource: Ref | None
    """Type and id of what else it is about; else what ``@event`` says."""
    time: datetime
    """When it happened, with a time zone; else now."""
    delay: float | timedelta | datetime
    """Hold it back for so many seconds, or until a moment (with a time zone)."""


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
    headers: Mapping[str, str] = _NO_HEADERS
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
        return datetime.fromtimestamp(self.timestamp, UTC)

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


class _Lent(Protocol):
    """The part of a delivery that a message needs."""

    attempt: int

    @property
    def lost(self) -> bool: ...


class Pausable(Protocol):
    """What a handler or a middleware may do with ``message.subscription``."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class BusPart(Protocol):
    """The part of a bus that a message needs."""

    def _child(
        self, parent: Envelope, event: object, data: object, options: PublishOptions
    ) -> Envelope: ...

    async def publish(self, event: object, /, **options: Unpack[PublishOptions]) -> Envelope: ...


class Message(Generic[E]):
    """One delivery as its handler sees it: the second parameter of a handler, if it takes one.

    A handler never acknowledges: returning is success, raising is a failed attempt.
    """

    __slots__ = ("_bus", "_lent", "data", "envelope", "group", "subscription")

    def __init__(
        self,
        envelope: Envelope,
        data: E,
        group: str,
        lent: _Lent,
        bus: BusPart,
        subscription: Pausable | None = None,
    ) -> None:
        self.envelope = envelope
        """What travelled."""
        self.data = data
        """The event, converted to what the handler's first parameter asks for."""
        self.group = group
        """The name of the group this delivery belongs to."""
        self.subscription = subscription
        """What ``bus.add`` returned for this handler: ``pause``, ``resume``, ``stop``."""
        self._lent = lent
        self._bus = bus

    @property
    def attempt(self) -> int:
        """Which attempt this is; the first is 1."""
        return self._lent.attempt

    @property
    def lost(self) -> bool:
        """Whether the loan ran out or was revoked: somebody else may be handling this event too."""
        return self._lent.lost

    @property
    def id(self) -> str:
        return self.envelope.id

    @property
    def topic(self) -> str:
        return self.envelope.type

    @property
    def key(self) -> str | None:
        return self.envelope.subject

    @property
    def headers(self) -> Mapping[str, str]:
        return self.envelope.headers

    @property
    def correlation_id(self) -> str:
        return self.envelope.correlation_id

    def child(
        self, event: object, data: object = None, /, **options: Unpack[PublishOptions]
    ) -> Envelope:
        """An envelope caused by this one, not sent yet.

        It inherits correlation, tenant, user and trace; never key, aggregate, resource or
        idempotency key.
        """
        # Not public on the bus: a child is made from a message.
        make = self._bus._child  # pyright: ignore[reportPrivateUsage]
        return make(self.envelope, event, data, options)

    async def publish(
        self, event: object, data: object = None, /, **options: Unpack[PublishOptions]
    ) -> Envelope:
        """Publish a child of this message. The same errors as ``Bus.publish``."""
        when: PublishOptions = {}
        if "delay" in options:
            when["delay"] = options.pop("delay")  # of the sending, not of the envelope
        return await self._bus.publish(self.child(event, data, **options), **when)

    def __repr__(self) -> str:
        return f"<Message {self.topic} {self.id} group={self.group!r} attempt={self.attempt}>"
