"""Replies: ordinary envelopes, whose header says whether they are an answer or a failure."""

from __future__ import annotations

import msgspec

from .message import Envelope

__all__ = ["answer", "confirms", "failed", "failure"]

_KIND = "busway-reply"
_DONE = "done"


def answer(
    request: Envelope, result: object, source: str, now: float, *, confirms: bool = False
) -> Envelope:
    """What the handler returned; or, of one that never returns anything, that it has handled it."""
    reply = _reply(request, "reply", result, source, now)
    return msgspec.structs.replace(reply, headers={_KIND: _DONE}) if confirms else reply


def failure(request: Envelope, kind: str, reason: str, source: str, now: float) -> Envelope:
    """The handler gave up."""
    return _reply(request, "failed", {"kind": kind, "reason": reason}, source, now)


def _reply(request: Envelope, kind: str, data: object, source: str, now: float) -> Envelope:
    return Envelope(
        f"{request.type}.{kind}",
        data,
        source,
        now,
        given_correlation_id=request.correlation_id,
        causation_id=request.id,
        tenant=request.tenant,
        user=request.user,
        traceparent=request.traceparent,
        tracestate=request.tracestate,
        headers={_KIND: kind},
    )


def failed(reply: Envelope) -> bool:
    """Whether this reply says that the request was given up."""
    return reply.headers.get(_KIND) == "failed"


def confirms(reply: Envelope) -> bool:
    """Whether it only says that the request was handled."""
    return reply.headers.get(_KIND) == _DONE
