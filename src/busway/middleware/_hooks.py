"""``trace``: being told what happens to events, without taking part in it."""

from __future__ import annotations

import msgspec

from busway.errors import OptionError
from busway.message import Envelope
from busway.transport import Raw

from ._types import Mark

__all__ = [
    "DeadLettered",
    "Dropped",
    "Handled",
    "Hooks",
    "Published",
    "Received",
    "Retried",
    "Trace",
    "trace",
]


class Published(msgspec.Struct, frozen=True):
    """The broker has an event."""

    envelope: Envelope
    channel: str
    seconds: float
    """How long publishing took."""


class Received(msgspec.Struct, frozen=True):
    """A delivery arrived in this process and waits for its turn."""

    content: Envelope | Raw
    group: str
    attempt: int
    """Which attempt its handling will be; the first is 1."""
    delivered: int
    """How often the broker handed it out, this time included."""


class Handled(msgspec.Struct, frozen=True):
    """A handler succeeded."""

    envelope: Envelope
    group: str
    handler: str
    attempt: int
    seconds: float
    """How long this attempt took, middlewares included; for an event of a batch, the whole
    batch."""
    channel: str = ""


class Retried(msgspec.Struct, frozen=True):
    """An attempt failed and there will be another."""

    envelope: Envelope
    group: str
    handler: str
    attempt: int
    """The one that failed."""
    after: float
    """Seconds until the next."""
    in_place: bool
    """Whether it keeps its lane meanwhile."""
    error: BaseException
    channel: str = ""


class DeadLettered(msgspec.Struct, frozen=True):
    """A delivery was set aside for its group."""

    content: Envelope | Raw
    group: str
    handler: str
    attempts: int
    kind: str
    """The name of the last exception's type."""
    reason: str
    """What the last exception said. It may quote the event's data."""
    error: BaseException | None
    """None where it was not an exception of this process."""
    channel: str = ""


class Dropped(msgspec.Struct, frozen=True):
    """A delivery was acknowledged, or an event given up, without any handler."""

    content: Envelope | Raw
    group: str
    why: str


class Hooks:
    """What ``trace`` calls. Override what you need; every method does nothing here.

    They are called on the event loop, in the middle of the work: they must not block, and what they
    raise is logged and changes nothing. Each is given one frozen struct, which can grow a field
    without breaking anybody.
    """

    def published(self, details: Published, /) -> None:
        """After the broker has the event."""

    def received(self, details: Received, /) -> None:
        """Before the delivery waits for its turn."""

    def handled(self, details: Handled, /) -> None:
        """After the handler succeeded, before the acknowledgement."""

    def retried(self, details: Retried, /) -> None:
        """After an attempt failed that will be followed by another."""

    def dead_lettered(self, details: DeadLettered, /) -> None:
        """After the dead letter was written."""

    def dropped(self, details: Dropped, /) -> None:
        """After something was given up without being handled."""


class Trace(Mark):
    """Hooks standing in ``middleware=``. Made by ``trace``."""

    __slots__ = ("hooks",)

    def __init__(self, hooks: Hooks) -> None:
        self.hooks = hooks

    def __repr__(self) -> str:
        return f"trace({self.hooks!r})"


def trace(hooks: Hooks, /) -> Trace:
    """Have these hooks called. Several traces are called in their order.

    Raises ``OptionError`` for what is no ``Hooks``, a class of it instead of an object, say.
    Cost: one struct and one call per thing that happens; nothing where there is no trace.
    """
    if not isinstance(hooks, Hooks):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(f"trace({hooks!r}): it takes an object of a subclass of Hooks")
    return Trace(hooks)
