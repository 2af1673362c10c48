"""What a running bus lends to its parts: the transport, the clock, who watches, what is counted."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from ._letter import DeadLetter
from ._verdict import Retry
from .message import Envelope
from .middleware import (
    DeadLettered,
    Dropped,
    Handled,
    Hooks,
    Published,
    Received,
    Retried,
)
from .transport import Clock, Encoder, Raw, Transport

__all__ = ["Counters", "OnDead", "Runtime", "Watchers"]

_DETAILS: dict[str, Callable[..., Any]] = {
    "published": Published,
    "received": Received,
    "handled": Handled,
    "retried": Retried,
    "dead_lettered": DeadLettered,
    "dropped": Dropped,
}

OnDead = Callable[[DeadLetter], Awaitable[None] | None]


class Counters:
    """How often each thing happened since the bus was made."""

    # A plain class: adding to a field of a Struct costs five times as much, for each event.
    __slots__ = (
        "dead",
        "dropped",
        "failed",
        "handled",
        "lost",
        "publish_failed",
        "publish_unknown",
        "published",
        "retried",
        "unmatched",
    )

    def __init__(self) -> None:
        self.published = 0
        self.publish_failed = 0
        self.publish_unknown = 0
        self.handled = 0
        self.failed = 0
        self.retried = 0
        self.dead = 0
        self.dropped = 0
        self.unmatched = 0
        self.lost = 0


class Watchers:
    """The hooks of every ``trace``, by what they override: nobody pays for what nobody hears."""

    __slots__ = (
        "_hooks",
        "dead_lettered",
        "dropped",
        "handled",
        "published",
        "received",
        "retried",
    )

    def __init__(self, hooks: tuple[Hooks, ...]) -> None:
        self.set(hooks)

    def add(self, hooks: Hooks) -> None:
        """One more, called after the others."""
        self.set((*self._hooks, hooks))

    def remove(self, hooks: Hooks) -> None:
        """That one not any more."""
        self.set(tuple(each for each in self._hooks if each is not hooks))

    def set(self, hooks: tuple[Hooks, ...]) -> None:
        """These, in this order."""
        self._hooks = hooks
        self.published = _overriding(hooks, "published")
        self.received = _overriding(hooks, "received")
        self.handled = _overriding(hooks, "handled")
        self.retried = _overriding(hooks, "retried")
        self.dead_lettered = _overriding(hooks, "dead_lettered")
        self.dropped = _overriding(hooks, "dropped")


def _overriding(hooks: tuple[Hooks, ...], name: str) -> tuple[Callable[[Any], None], ...]:
    return tuple(
        getattr(hook, name)
        for hook in hooks
        if getattr(type(hook), name) is not getattr(Hooks, name)
    )


class Runtime:
    """One bus's shared state. Its parts read it; only the bus and the counters change."""

    __slots__ = (
        "clock",
        "counters",
        "encoder",
        "log",
        "on_dead",
        "resender",
        "retry_of",
        "service",
        "timeout",
        "transport",
        "watchers",
    )

    def __init__(
        self,
        *,
        transport: Transport,
        encoder: Encoder,
        resender: Encoder,
        clock: Clock,
        service: str,
        log: logging.Logger,
        watchers: Watchers,
    ) -> None:
        self.transport = transport
        self.encoder = encoder
        self.resender = resender
        """The same without a limit, for what was accepted before: written again, a foreign event
        can grow, and what cannot be set aside would come for ever."""
        self.clock = clock
        self.service = service
        self.log = log
        self.watchers = watchers
        self.counters = Counters()
        self.timeout = 30.0
        self.on_dead: OnDead | None = None
        self.retry_of: Callable[[str], Retry] = lambda topic: Retry()

    def drop(self, content: Envelope | Raw, group: str, why: str) -> None:
        """Count and tell what is given up without a dead letter."""
        self.counters.dropped += 1
        self.tell("dropped", content, group, why)

    def tell(self, what: str, *details: Any) -> None:
        """Call the hooks of one kind; a hook that raises is logged and stops nothing."""
        hooks = getattr(self.watchers, what)
        if not hooks:
            return
        struct = _DETAILS[what](*details)
        for hook in hooks:
            try:
                hook(struct)
            except Exception:
                self.log.exception("a %s hook failed", what)
