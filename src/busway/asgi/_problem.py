"""What went wrong, as an HTTP answer (RFC 9457)."""

from __future__ import annotations

from typing import Any

import msgspec

from ..errors import (
    BuswayError,
    PublishError,
    PublishUnknown,
    RequestFailed,
    RequestTimeout,
    StateError,
    TooLarge,
    TransportError,
)
from ._scope import Receive, Scope, Send

__all__ = ["Problem", "problem_of"]

_AGAIN = (("retry-after", "5"),)


class Problem(msgspec.Struct, frozen=True):
    """An answer of type ``application/problem+json``. It is an ASGI app: a handler of exceptions of
    Starlette's or FastAPI's can return it."""

    status: int
    title: str
    detail: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        return {"status": self.status, "title": self.title, "detail": self.detail}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = msgspec.json.encode(self.document)
        fields = [("content-type", "application/problem+json"), ("content-length", str(len(body)))]
        raw = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in [*fields, *self.headers]]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        if scope.get("method") == "HEAD":
            body = b""
        await send({"type": "http.response.body", "body": body})


def problem_of(error: BaseException) -> Problem | None:
    """What an HTTP client is told of an error of the bus. None for what is a mistake in the code.

    | error | status |
    |---|---|
    | ``StateError``: the bus does not run | 503 |
    | ``PublishError``, ``TransportError``: not sent, try again | 503, with ``Retry-After`` |
    | ``PublishError`` of several events, of which others were sent | 503 |
    | ``TransportError`` that trying again does not mend | 503 |
    | ``PublishUnknown``: it may have been sent | 503, without ``Retry-After`` |
    | ``TooLarge`` | 413 |
    | ``RequestFailed``: the handler of a request gave up | 502 |
    | ``RequestTimeout`` | 504 |

    The answer says what kind of thing happened; what the error itself says may name hosts, and is
    for your log.
    """
    match error:
        case StateError():
            return Problem(503, "Not ready", "The event bus does not run now.", _AGAIN)
        case TooLarge():
            return Problem(413, "Too large", "The event is over the size limit.")
        case PublishUnknown():
            said = "The event may have been published, or not: sending it again may repeat it."
            return Problem(503, "Unknown outcome", said)
        case PublishError() | TransportError():
            said = "The event bus does not take this now."
            again = _AGAIN if _may_be_asked_again(error) else ()
            return None if _is_a_mistake(error) else Problem(503, "Not available", said, again)
        case RequestTimeout():
            return Problem(504, "No answer in time", "The request may still be handled.")
        case RequestFailed():
            return Problem(502, "Not answered", "What was asked for could not be done.")
        case _:
            return None


def _may_be_asked_again(error: PublishError | TransportError) -> bool:
    """Whether all of it would be done then, and nothing twice."""
    if isinstance(error, PublishError):
        return len(error.failed) <= 1
    return error.retryable


def _is_a_mistake(error: BuswayError) -> bool:
    return isinstance(error, ValueError)  # EncodeError
