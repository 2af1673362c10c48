"""OpenTelemetry, where the program uses it: FastStream's telemetry begins a new trace for a message
unless there is one around it, and in a handler of the bus there is one."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["in_trace"]

_PROPAGATION = "opentelemetry.trace.propagation.tracecontext"


@contextmanager
def in_trace(headers: Mapping[str, str]) -> Generator[None]:
    """Let what traces inside belong to this trace context, unless it has one."""
    # It is FastStream's dependency and not ours: who traces has imported it.
    found: Any = sys.modules.get(_PROPAGATION)
    if found is None or not headers:
        yield
        return
    trace: Any = sys.modules["opentelemetry.trace"]
    if trace.get_current_span().get_span_context().is_valid:
        yield
        return
    otel: Any = sys.modules["opentelemetry.context"]
    token = otel.attach(found.TraceContextTextMapPropagator().extract(dict(headers)))
    try:
        yield
    finally:
        otel.detach(token)
