"""What an adapter raises and may not, raised with the adapter's name."""

from __future__ import annotations

from typing import NoReturn

from ._tasks import cancelled_by_owner, is_cancellation
from ._verdict import text_of
from .errors import TransportError
from .transport import Transport

__all__ = ["blame"]


def blame(transport: Transport, call: str, error: BaseException) -> NoReturn:
    """Raise what came out of an adapter's call and is no TransportError.

    It is raised as a TransportError that nobody tries again, and stops the bus: an adapter that
    does not know its own error does not know either what it has done. So is a cancellation that
    nobody asked for: it would end a worker without a word. What was asked for, and what is meant to
    end the process, is raised as it is.
    """
    if cancelled_by_owner(error) or not (isinstance(error, Exception) or is_cancellation(error)):
        raise error
    kind = type(transport)
    raise TransportError(
        f"{kind.__module__}.{kind.__qualname__}: {call} raised {type(error).__name__}: "
        f"{text_of(error)}. An adapter may raise TransportError and nothing else; this is an error "
        "of the adapter",
        retryable=False,
    ) from error
