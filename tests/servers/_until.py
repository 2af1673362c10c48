"""Waiting for a fact."""

from __future__ import annotations

import time
from collections.abc import Callable

from ._connection import ErrorReply
from ._errors import ServerError

__all__ = ["until"]

# A server that is about to answer: not up yet, loading, or in the middle of a change of roles.
NOT_YET = (OSError, ErrorReply)


def until(
    fact: Callable[[], bool],
    what: str,
    patience: float,
    *,
    log: Callable[[], str] = str,
) -> None:
    """Wait until the fact holds; raises ServerError after ``patience`` seconds.

    A connection that is refused, or an error as the reply, is a fact that does not hold yet.
    """
    limit = time.monotonic() + patience
    last = ""
    while True:
        try:
            if fact():
                return
        except NOT_YET as error:
            last = f"; the last error: {type(error).__name__}: {error}"
        if time.monotonic() > limit:
            raise ServerError(f"not within {patience:g} s: {what}{last}\n{log()}".rstrip())
        time.sleep(0.02)
