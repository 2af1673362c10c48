"""From a request's headers to the envelope that what it publishes is a child of."""

from __future__ import annotations

import re
import time
from typing import Final

from .._uuid7 import uuid7
from ..message import Envelope
from ._scope import Scope, header, headers

__all__ = ["CORRELATION", "origin_of"]

CORRELATION: Final = "x-correlation-id"
_REQUEST: Final = "x-request-id"

# Who asks is not to be trusted: what cannot stand in a log line, or fills one, is passed over.
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_STATE = re.compile(r"[\x20-\x7e]{1,512}")


def origin_of(scope: Scope) -> Envelope:
    """An envelope for the request itself, which does not travel.

    Its id is ``X-Request-ID``, its correlation id ``X-Correlation-ID``, else the request's id; one
    that is missing, or no plain text of at most 128 characters, is made here. The trace is that of
    ``traceparent`` and ``tracestate``, where it is well-formed.
    """
    now = time.time()
    request = _id(scope, _REQUEST)
    trace, state = _trace(scope)
    return Envelope(
        "http.request",
        timestamp=now,
        given_id=request or uuid7(now),
        given_correlation_id=_id(scope, CORRELATION) or request or uuid7(now),
        traceparent=trace,
        tracestate=state,
    )


def _id(scope: Scope, name: str) -> str | None:
    given = header(scope, name)
    return given if given is not None and _ID.fullmatch(given) else None


def _trace(scope: Scope) -> tuple[str | None, str | None]:
    parents = list(headers(scope, "traceparent"))
    if len(parents) != 1 or not _TRACE.fullmatch(parents[0]):
        return None, None  # then tracestate means nothing (W3C Trace Context, section 3.3)
    state = ",".join(headers(scope, "tracestate"))
    return parents[0], state if _STATE.fullmatch(state) else None
