"""``log``: a line of standard logging for what happens to events."""

from __future__ import annotations

import logging
from typing import Any, Final

from busway.message import Envelope
from busway.transport import Raw

from ._hooks import DeadLettered, Dropped, Handled, Hooks, Published, Retried, Trace, trace

__all__ = ["LogHooks", "log"]

LONGEST: Final = 500
"""Characters of one text that are logged."""


def log(
    logger: logging.Logger | None = None,
    /,
    *,
    level: int = logging.DEBUG,
    reasons: bool = False,
) -> Trace:
    """Log what happens to events: one line each, with ``extra`` keys that begin with ``busway_``.

    Retried and dropped are warnings, dead-lettered is an error; handled and published are logged at
    ``level``. ``logger`` is ``logging.getLogger("busway")`` unless given.

    Event data, keys, headers, tenants and users are never logged. What an exception *said* can
    quote them, so only its type is logged; ``reasons=True`` adds the text. The whole story is in
    the dead letter.

    Cost: one log record per line that its logger lets through; for the others one check.
    """
    return trace(LogHooks(logger or logging.getLogger("busway"), level, reasons=reasons))


class LogHooks(Hooks):
    """The hooks behind ``log``."""

    __slots__ = ("_level", "_logger", "_reasons")

    def __init__(self, logger: logging.Logger, level: int, *, reasons: bool) -> None:
        self._logger = logger
        self._level = level
        self._reasons = reasons

    def published(self, details: Published, /) -> None:
        if self._logger.isEnabledFor(self._level):
            extra = _about(details.envelope, "published")
            extra |= {"busway_channel": details.channel, "busway_seconds": details.seconds}
            self._logger.log(self._level, "published %s", _title(extra), extra=extra)

    def handled(self, details: Handled, /) -> None:
        if self._logger.isEnabledFor(self._level):
            extra = _about(details.envelope, "handled", details.group)
            extra |= _attempt(details.handler, details.attempt)
            extra["busway_seconds"] = details.seconds
            self._logger.log(
                self._level,
                "handled %s in group %s by %s, attempt %d, in %.6f s",
                _title(extra),
                details.group,
                details.handler,
                details.attempt,
                details.seconds,
                extra=extra,
            )

    def retried(self, details: Retried, /) -> None:
        kind = type(details.error).__name__
        extra = _about(details.envelope, "retried", details.group)
        extra |= _attempt(details.handler, details.attempt)
        extra |= {"busway_after": details.after, "busway_in_place": details.in_place}
        said = self._said(extra, kind, str(details.error) if self._reasons else "")
        self._logger.warning(
            "attempt %d at %s failed in group %s by %s (%s), next in %.3f s",
            details.attempt,
            _title(extra),
            details.group,
            details.handler,
            said,
            details.after,
            extra=extra,
        )

    def dead_lettered(self, details: DeadLettered, /) -> None:
        extra = _about(details.content, "dead_lettered", details.group)
        extra |= _attempt(details.handler, details.attempts)
        said = self._said(extra, details.kind, details.reason)
        self._logger.error(
            "dead-lettered %s in group %s after %d attempts (%s)",
            _title(extra),
            details.group,
            details.attempts,
            said,
            extra=extra,
        )

    def dropped(self, details: Dropped, /) -> None:
        extra = _about(details.content, "dropped", details.group)
        extra["busway_why"] = details.why
        self._logger.warning(
            "dropped %s in group %s: %s", _title(extra), details.group, details.why, extra=extra
        )

    def _said(self, extra: dict[str, Any], kind: str, reason: str) -> str:
        extra["busway_kind"] = kind
        if not self._reasons:
            return kind
        extra["busway_reason"] = _one_line(reason)
        return f"{kind}: {extra['busway_reason']}"


def _about(content: Envelope | Raw, what: str, group: str | None = None) -> dict[str, Any]:
    about: dict[str, Any] = {"busway_event": what, "busway_group": group, "busway_topic": None}
    if isinstance(content, Envelope):
        about["busway_topic"] = _one_line(content.type)
        about["busway_id"] = _one_line(content.id)
        about["busway_correlation_id"] = _one_line(content.correlation_id)
    return about


def _attempt(handler: str, attempt: int) -> dict[str, Any]:
    return {"busway_handler": handler, "busway_attempt": attempt}


def _title(extra: dict[str, Any]) -> str:
    if extra["busway_topic"] is None:
        return "bytes that nobody could decode"
    return f"{extra['busway_topic']} {extra['busway_id']}"


def _one_line(text: str) -> str:
    """What came off a wire, without the line breaks that would forge a second log line."""
    short = text if len(text) <= LONGEST else text[:LONGEST] + "…"
    return short if short.isprintable() else ascii(short)
