"""Policies as functions of a handler, and what to write your own with.

A middleware takes the next handler and returns one. ``Bus(middleware=(a, b))`` makes
``a(b(handler))``: the first one is outermost. The chain is composed once, when a subscription
starts; what stands in no chain costs nothing.
"""

from __future__ import annotations

from busway.message import Pausable

from ._breaker import breaker
from ._cause import cause, caused_by
from ._dedupe import Claimed, StoreAway, dedupe
from ._hooks import (
    DeadLettered,
    Dropped,
    Handled,
    Hooks,
    Published,
    Received,
    Retried,
    Trace,
    trace,
)
from ._log import LogHooks, log
from ._reading import reader_of
from ._store import DONE, NEW, Busy, Claim, DedupeKey, DedupeStore, Done, MemoryStore, New
from ._timeout import timeout
from ._types import (
    Handler,
    Mark,
    Middleware,
    PublishMiddleware,
    Send,
    SendMiddleware,
    compose,
    compose_send,
    handler_name,
    publishing,
)

__all__ = [
    "DONE",
    "NEW",
    "Busy",
    "Claim",
    "Claimed",
    "DeadLettered",
    "DedupeKey",
    "DedupeStore",
    "Done",
    "Dropped",
    "Handled",
    "Handler",
    "Hooks",
    "LogHooks",
    "Mark",
    "MemoryStore",
    "Middleware",
    "New",
    "Pausable",
    "PublishMiddleware",
    "Published",
    "Received",
    "Retried",
    "Send",
    "SendMiddleware",
    "StoreAway",
    "Trace",
    "breaker",
    "cause",
    "caused_by",
    "compose",
    "compose_send",
    "dedupe",
    "handler_name",
    "log",
    "publishing",
    "reader_of",
    "timeout",
    "trace",
]
