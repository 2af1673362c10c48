"""One shard in the hands of one member, for a time."""

from __future__ import annotations

import time

from busway.transport import Loan

__all__ = ["Lease"]

_SURE = 0.9


class Lease:
    """Held at the server under ``key`` as long as ``value`` stands there."""

    __slots__ = ("key", "loan", "over", "value")

    def __init__(self, key: str, value: str, fence: int) -> None:
        self.key = key
        self.value = value
        self.loan = Loan(fence)
        self.over = False
        """Whether it was lost or given up: nothing of it counts any more."""

    def __repr__(self) -> str:
        return f"<Lease {self.key} {self.value!r}>"

    @property
    def ended(self) -> bool:
        """Whether somebody else may have it. What runs of one that is given up is still ours."""
        until = self.loan.until
        return self.over or (until is not None and time.monotonic() >= until)

    def agreed(self, at: float, seconds: float) -> bool:
        """The server agreed to these seconds; it was asked at that moment (monotonic), so that it
        counts them from a later one. What is left of them is for clocks that are not equally fast.

        False: it had ended here before the answer came. What was not started for that would be
        passed over by what is behind it, if it went on as though nothing had been.
        """
        if self.ended:
            return False
        self.loan.until = at + seconds * _SURE
        return True
