"""What an error tells, and what it can be caught as."""

from __future__ import annotations

from typing import Any, assert_type

from busway import (
    BuswayError,
    HandlerSignal,
    InvalidEvent,
    PublishUnknown,
    Reject,
    RequestFailed,
    RequestTimeout,
    RetryLater,
    SendError,
    TransportError,
    UnknownTransport,
)

__all__ = ["errors_are_of_the_builtin_kind_too", "errors_tell_what_happened"]


def errors_tell_what_happened(
    send: SendError, failed: RequestFailed, transport: TransportError, later: RetryLater
) -> None:
    assert_type(send.failed, tuple[tuple[Any, BaseException], ...])
    assert_type(failed.kind, str)
    assert_type(failed.reason, str)
    assert_type(transport.retryable, bool)
    assert_type(later.after, float)


def errors_are_of_the_builtin_kind_too(
    invalid: InvalidEvent, timeout: RequestTimeout, unknown: UnknownTransport
) -> None:
    bad_value: ValueError = invalid
    too_late: TimeoutError = timeout
    not_found: LookupError = unknown
    ours: list[BuswayError] = [invalid, timeout, unknown, PublishUnknown("")]
    del bad_value, too_late, not_found, ours


def handlers_tell_by_raising() -> None:
    signals: list[HandlerSignal] = [
        Reject("no such order"),
        Reject(),
        RetryLater(5),
        RetryLater(0.5),
    ]
    RetryLater()  # type: ignore[call-arg]
    Reject(404)  # type: ignore[arg-type]
    del signals
