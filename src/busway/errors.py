"""Every error Busway raises, divided by who must act.

::

    BuswayError
    ├── UsageError                the programmer: the code asks for something that cannot work
    │   ├── TopicError            a topic is malformed, or holds wildcard characters
    │   ├── PatternError          a pattern is malformed
    │   ├── EventError            an event class is declared wrongly, twice, or not at all
    │   ├── InvalidEvent          data does not fit the class declared for its topic
    │   ├── HandlerError          a handler cannot be called with what its patterns carry
    │   ├── GroupError            two subscriptions of one group contradict each other
    │   ├── OptionError           an option or a part of a URL is unknown or out of range
    │   ├── UnknownTransport      nobody is installed for a URL's scheme
    │   ├── MissingPower          the transport lacks a power that was asked for
    │   └── StateError            the bus is not started, already stopped, or publish-only
    ├── SendError                 the publisher: an event did not (surely) arrive
    │   ├── PublishError          it was not sent; sending it again is safe
    │   │   ├── EncodeError       it cannot be encoded; nothing was sent
    │   │   └── TooLarge          it is over the size limit; nothing was sent
    │   └── PublishUnknown        it may have been written; sending it again may make a duplicate
    ├── RequestError              the one who asked
    │   ├── RequestTimeout        no reply came in time
    │   └── RequestFailed         the handler gave up on the request
    ├── DrainTimeout              whoever waits: not everything was done in time
    ├── TransportError            the operator: the broker refused, broke or went away
    ├── Undecodable               nobody at once: bytes that are no envelope are dead-lettered raw
    └── HandlerSignal             raised by handlers, to say what shall become of a delivery
        ├── Reject                set it aside as a dead letter now
        └── RetryLater            try again after a wait of the handler's choosing
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

__all__ = [
    "BuswayError",
    "DrainTimeout",
    "EncodeError",
    "EventError",
    "GroupError",
    "HandlerError",
    "HandlerSignal",
    "InvalidEvent",
    "MissingPower",
    "OptionError",
    "PatternError",
    "PublishError",
    "PublishUnknown",
    "Reject",
    "RequestError",
    "RequestFailed",
    "RequestTimeout",
    "RetryLater",
    "SendError",
    "StateError",
    "TooLarge",
    "TopicError",
    "TransportError",
    "Undecodable",
    "UnknownTransport",
    "UsageError",
]


class BuswayError(Exception):
    """The root of every error of this package."""


class UsageError(BuswayError):
    """The code asks for something that cannot work. Fix the code; trying again does not help."""


class TopicError(UsageError, ValueError):
    """Raised when a topic is malformed, or when a publisher's topic holds wildcard characters."""


class PatternError(UsageError, ValueError):
    """Raised when a pattern is malformed."""


class EventError(UsageError, TypeError):
    """Raised when an event class is declared wrongly, twice for a topic, or not at all."""


class InvalidEvent(UsageError, ValueError):
    """Raised when published data does not fit the class declared for its topic. Nothing is sent."""


class HandlerError(UsageError, TypeError):
    """Raised when a handler is no callable, or can never be called with what its patterns carry."""


class GroupError(UsageError, ValueError):
    """Raised when subscriptions of one group contradict each other, or default groups collide."""


class OptionError(UsageError, ValueError):
    """Raised when an option, or a part of a URL, is unknown or out of range."""


class UnknownTransport(UsageError, LookupError):
    """Raised when no installed adapter speaks a URL's scheme."""


class MissingPower(UsageError):
    """Raised when a subscription or a call needs a power that the transport does not have."""


class StateError(UsageError, RuntimeError):
    """Raised when the bus is not started, already stopped, or was opened for publishing only."""


class SendError(BuswayError):
    """Publishing did not surely succeed.

    ``failed`` holds the envelopes concerned with the error of each, in the order they were given.
    """

    def __init__(self, message: str, failed: Sequence[tuple[Any, BaseException]] = ()) -> None:
        super().__init__(message)
        self.failed = tuple(failed)


class PublishError(SendError):
    """Raised when an event was **not** sent. Publishing it again cannot make a duplicate."""


class EncodeError(PublishError, ValueError):
    """Raised when an event cannot be encoded. Nothing was sent."""


class TooLarge(PublishError, ValueError):
    """Raised when an encoded envelope is over the bus's ``max_size``. Nothing was sent."""


class PublishUnknown(SendError):
    """Raised when an event **may** have been written: the connection died before the answer came.

    Publishing it again may make a duplicate; ``dedupe`` on the subscribers' side recognises it by
    its id, which is kept when the envelope itself is published again.
    """


class RequestError(BuswayError):
    """A request got no good answer."""


class RequestTimeout(RequestError, TimeoutError):
    """Raised when no reply came before the deadline. The request may still be handled."""


class RequestFailed(RequestError):
    """Raised when the handler of a request used up its retries or rejected it, or when its reply
    does not fit what was asked for (then ``kind`` is ``"Undecodable"``).

    ``kind`` is the name of the handler's exception type, ``reason`` what it said.
    """

    def __init__(self, reason: str, kind: str = "") -> None:
        super().__init__(f"{kind}: {reason}" if kind else reason)
        self.reason = reason
        self.kind = kind


class DrainTimeout(BuswayError, TimeoutError):
    """Raised when ``drain`` was not done in time; it says what was still waited for. Nothing is
    undone by it: what was waited for goes on."""


class TransportError(BuswayError):
    """Raised by adapters, in place of their client's exceptions, when the broker refused or broke.

    ``retryable`` says whether the same call can succeed later without anybody's help.
    """

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class Undecodable(BuswayError, ValueError):
    """Raised when bytes are no envelope, or the data in one does not fit what its handler takes.

    It is never retried: the same bytes stay unreadable.
    """


class HandlerSignal(BuswayError):
    """What a handler raises to decide about its delivery itself."""


class Reject(HandlerSignal):
    """Raise in a handler: this event will never succeed; it goes to the dead letters at once."""

    def __init__(self, reason: str = "rejected by its handler") -> None:
        super().__init__(reason)
        self.reason = reason


class RetryLater(HandlerSignal):
    """Raise in a handler: try again after ``after`` seconds. It counts as a failed attempt."""

    counts: ClassVar[bool] = True
    """Whether it uses up an attempt. False for a wait that nobody is to blame for."""
    after: float = 0.0
    """Seconds; 0 for a subclass whose ``__init__`` does not say."""

    def __init__(self, after: float, reason: str = "asked to be retried later") -> None:
        if not after >= 0:
            raise OptionError(f"RetryLater(after={after!r}): the wait must be 0 seconds or more")
        super().__init__(reason)
        self.after = after
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.after, self.reason), self.__dict__
