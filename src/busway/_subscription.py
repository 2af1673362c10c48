"""One handler subscribed to patterns in a group, and what its group agrees on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from ._crew import Batch
from ._declared import declaration_of
from ._handlers import Signature, check_reachable, signature_of
from ._patterns import read_pattern
from ._verdict import Retry
from .errors import EventError, OptionError
from .middleware import DedupeStore, Mark, Middleware
from .transport import Start

__all__ = ["Options", "Spec", "spec_of"]


class Options(msgspec.Struct, frozen=True):
    """What ``subscribe`` was given. None: no opinion, the group's other subscriptions decide."""

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
        if self.concurrency is not None and self.concurrency < 1:
            raise OptionError(f"concurrency={self.concurrency}: it takes 1 or more")
        if self.timeout is not None and not self.timeout > 0:
            raise OptionError(f"timeout={self.timeout}: it takes more than 0 seconds")
        if self.order not in (None, "key"):
            raise OptionError(f'order={self.order!r}: it takes "key" or nothing')
        _check_start(self.start)
        if self.broadcast and self.start not in (None, "latest"):
            raise OptionError("broadcast=True begins now: it takes no other start=")


def _check_start(start: object) -> None:
    if isinstance(start, datetime):
        if start.utcoffset() is None:
            raise OptionError(f"start={start!r} has no time zone: use datetime.now(UTC) or the like")
    elif not (start is None or start in ("earliest", "latest")):
        raise OptionError(f'start={start!r}: it takes "earliest", "latest" or a datetime')


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
    texts = tuple(dict.fromkeys(_pattern(each) for each in patterns))
    check_reachable(signature, texts)
    assert callable(function)
    return Spec(function, signature, texts, options)


def _pattern(given: str | type) -> str:
    if isinstance(given, str):
        read_pattern(given)
        return given
    declared = declaration_of(given) if isinstance(given, type) else None
    if declared is None:
        raise EventError(
            f"{given!r} is neither a pattern nor a declared event class: put @event('its.topic') on "
            "the class, or subscribe by a pattern"
        )
    return declared.topic
