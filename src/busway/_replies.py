"""Replies: ordinary envelopes, whose header says whether they are an answer or a failure."""

from __future__ import annotations

from .message import Envelope

__all__ = ["answer", "failed", "failure"]

_KIND = "busway-reply"


def answer(request: Envelope, result: object, source: str, now: float) -> Envelope:
    """What the handler returned."""
    return _reply(request, "reply", result, source, now)


def failure(
    request: Envelope, kind: str, reason: str, source: str, now: float
) -> Envelope:
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
