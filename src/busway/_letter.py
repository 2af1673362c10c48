"""What a dead letter is."""

from __future__ import annotations

import msgspec

from .message import Envelope
from .transport import Raw, Story

__all__ = ["DeadLetter", "letter"]


class DeadLetter(msgspec.Struct, frozen=True):
    """An envelope, or bytes nobody could read, set aside for one group, with why."""

    id: str
    """Where it lies: what ``get``, ``replay`` and ``discard`` take. Empty in ``on_dead``."""
    group: str
    channel: str
    content: Envelope | Raw
    """As it came: never changed by what happened to it."""
    handler: str
    attempts: int
    """Handled so often, each time in vain."""
    first_failed: float | None
    """Seconds since 1970 (UTC)."""
    last_failed: float | None
    kind: str
    """The name of the last exception's type."""
    reason: str
    """What the last exception said."""
    verdict: str
    """Why no further attempt was made."""
    traceback: str
    replays: int
    """How often it was replayed before."""

    @property
    def envelope(self) -> Envelope | None:
        """The envelope, or None for bytes that are none."""
        return self.content if isinstance(self.content, Envelope) else None

    @property
    def topic(self) -> str | None:
        return self.content.type if isinstance(self.content, Envelope) else None

    @property
    def key(self) -> str | None:
        return self.content.subject if isinstance(self.content, Envelope) else None


def letter(position: str, channel: str, content: Envelope | Raw, story: Story) -> DeadLetter:
    """The letter for an entry at a dead-letter address."""
    return DeadLetter(
        id=position,
        group=story.group,
        channel=channel,
        content=content,
        handler=story.handler,
        attempts=story.attempts,
        first_failed=story.first_failed,
        last_failed=story.last_failed,
        kind=story.kind,
        reason=story.reason,
        verdict=story.verdict,
        traceback=story.traceback,
        replays=story.replays,
    )
