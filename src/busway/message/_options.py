"""What is given beside an event when it is published."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypedDict

from ._envelope import Ref

__all__ = ["PublishOptions"]


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
