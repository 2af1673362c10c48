"""What becomes of a delivery: decided here, without I/O, and carried out by ``_settle``.

Rule 1: an error that can never go away is given up at once: ``Undecodable``, ``Reject``, whatever
        ``give_up_on`` names, whatever ``on`` does not name.
Rule 2: attempts are counted in one place, the delivery; the last allowed one that fails is the end.
Rule 3: no attempt starts later than ``within`` after the first failure.
Rule 4: what is not an ``Exception`` (``SystemExit`` raised by a handler) counts as a failed
        attempt: an event must not be lost, or a process stopped, because of what a handler called.
Rule 5: cancellation is neither success nor failure and never comes here.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import msgspec

from .errors import OptionError, Reject, RetryLater, Undecodable
from .transport import Delivery, Story

__all__ = [
    "Ack",
    "Again",
    "Backoff",
    "Dead",
    "Retry",
    "Verdict",
    "crashed",
    "judge",
    "text_of",
    "told",
]

_TEXT_KEPT = 2048


class Backoff(msgspec.Struct, frozen=True):
    """How long to wait after the n-th failure: ``first * factor ** (n - 1)`` seconds, at most
    ``cap``.

    ``jitter="full"`` draws each wait evenly between nothing and that, so that many consumers
    failing at once do not come back at once ("Exponential Backoff And Jitter", AWS Architecture
    Blog, 2015); ``"none"`` waits exactly that long.
    """

    first: float = 0.1
    factor: float = 2.0
    cap: float = 60.0
    jitter: Literal["full", "none"] = "full"

    def __post_init__(self) -> None:
        if not (0 <= self.first <= self.cap) or self.factor < 1:
            raise OptionError(f"{self!r}: it takes 0 <= first <= cap (seconds) and factor >= 1")

    def wait(self, failures: int, draw: float) -> float:
        """Seconds to wait after so many failures; ``draw`` is a number in [0, 1)."""
        # 64 doublings overflow any cap; without the bound a float overflow would end the worker.
        longest = min(self.cap, self.first * self.factor ** min(failures - 1, 64))
        return longest * draw if self.jitter == "full" else longest


def _is_exception(given: object) -> bool:
    return isinstance(given, type) and issubclass(given, BaseException)


class Retry(msgspec.Struct, frozen=True):
    """How often and how long a failing event is tried before it becomes a dead letter."""

    attempts: int = 5
    """How often it is handled in all, the first time included. 1: never retried."""
    backoff: Backoff = Backoff()
    on: tuple[type[BaseException], ...] = (Exception,)
    """Exceptions that are worth another attempt."""
    give_up_on: tuple[type[BaseException], ...] = ()
    """Exceptions that are not, even if ``on`` names them."""
    within: timedelta | float | None = None
    """No attempt starts later than this (seconds) after the first failure."""
    in_place: float = 1.0
    """Waits of up to so many seconds keep the lane closed, so that order is kept; a longer one
    frees the lane and sends the event again, unless the subscription says ``order="key"``."""

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise OptionError(f"Retry(attempts={self.attempts}): it takes 1 or more")
        if self.in_place < 0:
            raise OptionError(f"Retry(in_place={self.in_place}): it takes 0 seconds or more")
        if self.seconds is not None and not self.seconds >= 0:
            raise OptionError(f"Retry(within={self.within}): it takes 0 seconds or more")
        for name, given in (("on", self.on), ("give_up_on", self.give_up_on)):
            if not isinstance(given, tuple) or not all(map(_is_exception, given)):
                raise OptionError(f"Retry({name}={given!r}): it takes a tuple of exception classes")

    @property
    def seconds(self) -> float | None:
        """``within`` in seconds."""
        return self.within.total_seconds() if isinstance(self.within, timedelta) else self.within


class Ack(msgspec.Struct, frozen=True):
    """Done."""


class Again(msgspec.Struct, frozen=True):
    """Another attempt after so many seconds."""

    after: float


class Dead(msgspec.Struct, frozen=True):
    """Given up; set aside with the reason."""

    reason: str


Verdict = Ack | Again | Dead


def judge(
    error: BaseException, story: Story, retry: Retry, now: float, draw: float
) -> Again | Dead:
    """What becomes of a delivery whose attempt number ``story.attempts`` failed with ``error``."""
    said = text_of(error)
    if isinstance(error, (Undecodable, Reject)):
        return Dead(said)
    if isinstance(error, RetryLater):
        wait = error.after
    elif isinstance(error, retry.give_up_on):
        return Dead(f"{type(error).__name__} is not retried: {said}")
    elif isinstance(error, Exception) and not isinstance(error, retry.on):
        return Dead(f"{type(error).__name__} is not among the errors retried: {said}")
    else:
        wait = retry.backoff.wait(story.attempts, draw)
    if story.attempts >= retry.attempts:
        return Dead(f"failed {story.attempts} of {retry.attempts} attempts: {said}")
    first = now if story.first_failed is None else story.first_failed
    if retry.seconds is not None and now + wait > first + retry.seconds:
        return Dead(
            f"failed for {now - first:.1f} s, no attempt left within {retry.seconds:g} s: {said}"
        )
    return Again(wait)


def crashed(delivery: Delivery, retry: Retry) -> Dead | None:
    """Give up on what was handed out more often than attempts explain: it ends its processes.

    ``delivered`` counts hand-outs of this very entry, and a failed attempt that is sent again is a
    new entry; so every hand-out but the last ended without a word.
    """
    if delivery.delivered > max(retry.attempts, 2):
        return Dead(f"handed out {delivery.delivered} times and never finished")
    return None


def told(error: BaseException, delivery: Delivery, story: Story, now: float) -> Story:
    """The story with one more failed attempt in it. The traceback is added where it is written."""
    return msgspec.structs.replace(
        story,
        attempts=delivery.attempt,
        first_failed=now if story.first_failed is None else story.first_failed,
        last_failed=now,
        kind=type(error).__name__,
        reason=text_of(error),
    )


def text_of(error: BaseException) -> str:
    """What an exception says, bounded, and whatever its ``__str__`` does."""
    try:
        text = str(error)
    except Exception as broken:
        return f"its text cannot be had: {type(broken).__name__}"
    return text if len(text) <= _TEXT_KEPT else f"{text[:_TEXT_KEPT]}…"
