"""What ``subscribe`` and ``add`` were given: a handler, its patterns and its options, checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict

import msgspec

from ._crew import Batch
from ._declared import declaration_of
from ._handlers import Signature, check_reachable, signature_of
from ._patterns import read_pattern
from ._verdict import Retry
from .errors import EventError, OptionError
from .middleware import DedupeStore, Mark, Middleware
from .transport import Start

__all__ = [
    "Options",
    "Spec",
    "SubscribeOptions",
    "check_start",
    "checked",
    "options_of",
    "pattern_of",
    "spec_of",
]


class SubscribeOptions(TypedDict, total=False):
    """What ``subscribe`` and ``add`` take beside the handler and its patterns."""

    group: str | None
    """Subscribers of one group share its events; by default ``<service>.<handler>``, so that each
    handler gets every event."""
    broadcast: bool
    """Every process gets every event from now on. Nothing is kept for a process that is gone,
    nothing is retried later or dead-lettered."""
    concurrency: int | None
    """Events handled side by side, never two of one key; 1 unless the group says otherwise."""
    order: Literal["key"] | None
    """``"key"``: every retry keeps its lane, however long it waits."""
    batch: Batch | None
    """The handler takes a list."""
    retry: Retry | None
    """Goes before the event's and the bus's."""
    timeout: float | None
    """Seconds one attempt may take; by default as long as it takes."""
    start: Start | None
    """Where a group begins that the broker has never seen: ``"earliest"`` (the default),
    ``"latest"``, or a datetime; of what the transport keeps."""
    dedupe: DedupeStore | None
    """A store of what was handled; duplicates are recognised by the idempotency key, else the
    id."""
    middleware: Sequence[Middleware | Mark]
    """Around this handler, inside that of the bus."""


class Options(msgspec.Struct, frozen=True):
    """The same, checked. None: no opinion, the group's other subscriptions decide."""

    group: str | None = None
    broadcast: bool = False
    concurrency: int | None = None
    order: Literal["key"] | None = None
    batch: Batch | None = None
    retry: Retry | None = None
    timeout: float | None = None
    start: Start | None = None
    dedupe: DedupeStore | None = None
    middleware: Sequence[Middleware | Mark] = ()

    def __post_init__(self) -> None:
        group, concurrency, timeout = self.group, self.concurrency, self.timeout
        if group is not None and not (isinstance(group, str) and group and group.isprintable()):
            raise OptionError(f"group={group!r}: it takes a name, or nothing for the default")
        if concurrency is not None and not (_is_number(concurrency, int) and concurrency >= 1):
            raise OptionError(f"concurrency={concurrency!r}: it takes a whole number of 1 or more")
        if timeout is not None and not (_is_number(timeout, int | float) and timeout > 0):
            raise OptionError(f"timeout={timeout!r}: it takes more than 0 seconds, as a number")
        if self.order not in (None, "key"):
            raise OptionError(f'order={self.order!r}: it takes "key" or nothing')
        if self.batch is not None and not isinstance(self.batch, Batch):
            raise OptionError(f"batch={self.batch!r}: it takes Batch(size, within=seconds)")
        if self.retry is not None and not isinstance(self.retry, Retry):
            raise OptionError(f"retry={self.retry!r}: it takes a Retry(...)")
        for mark in checked(self.middleware, "middleware="):
            if isinstance(mark, Mark):
                raise OptionError(
                    f"middleware= of a subscription holds {mark!r}, which is about the whole bus: "
                    "give it to Bus(middleware=...)"
                )
        if self.start is not None:
            check_start(self.start)
        if self.broadcast and self.start not in (None, "latest"):
            raise OptionError("broadcast=True begins now: it takes no other start=")


def options_of(given: SubscribeOptions) -> Options:
    """Raises OptionError."""
    for name in given:
        if name not in SubscribeOptions.__annotations__:
            known = ", ".join(sorted(SubscribeOptions.__annotations__))
            raise OptionError(f"unknown option {name}=; known: {known}")
    return Options(**given)


def checked(middleware: Sequence[Middleware | Mark], where: str) -> tuple[Middleware | Mark, ...]:
    """The middlewares as a tuple. Raises OptionError for what is none."""
    if isinstance(middleware, Mark) or not isinstance(middleware, Iterable):
        raise OptionError(f"{where} {middleware!r}: it takes a tuple: (one,)")
    for each in middleware:
        if not (isinstance(each, Mark) or callable(each)):
            raise OptionError(f"{where} {each!r} is no middleware: it takes functions of a handler")
    return tuple(middleware)


def _is_number(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def check_start(start: object, name: str = "start") -> None:
    """Raises OptionError for what names no place in what is kept."""
    if isinstance(start, datetime):
        if start.utcoffset() is None:
            raise OptionError(
                f"{name}={start!r} has no time zone: use datetime.now(UTC) or the like"
            )
    elif start not in ("earliest", "latest"):
        raise OptionError(f'{name}={start!r}: it takes "earliest", "latest" or a datetime')


class Spec(msgspec.Struct, frozen=True):
    """A handler with its patterns and options, checked."""

    function: Callable[..., Any]
    signature: Signature
    patterns: tuple[str, ...]
    options: Options
    place: str = ""

    @property
    def name(self) -> str:
        return self.signature.name


def spec_of(function: object, patterns: Sequence[str | type], options: Options) -> Spec:
    """Check what can be checked before anything runs.

    Raises HandlerError, PatternError, EventError or OptionError.
    """
    signature = signature_of(function)
    if not patterns:
        patterns = signature.wanted
    if not patterns:
        raise OptionError(
            f"{signature.name} is subscribed to nothing: give it a pattern or an event class"
        )
    texts = tuple(dict.fromkeys(pattern_of(each) for each in patterns))
    check_reachable(signature, texts)
    assert callable(function)
    return Spec(function, signature, texts, options)


def pattern_of(given: str | type) -> str:
    """A pattern as it is, or the topic of a declared class. Raises PatternError, EventError."""
    if isinstance(given, str):
        read_pattern(given)
        return given
    declared = declaration_of(given) if isinstance(given, type) else None
    if declared is None:
        raise EventError(
            f"{given!r} is neither a pattern nor a declared event class: put @event('its.topic') "
            "on the class, or subscribe by a pattern"
        )
    return declared.topic
