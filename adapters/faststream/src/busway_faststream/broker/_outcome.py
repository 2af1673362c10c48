"""From how FastStream's pipeline ended to what the bus shall do: return, or raise one of its own.

The bus knows success and failure. Returning is success; ``Reject`` is a dead letter at once;
every other error is a failed attempt, of which the retry policy decides.
"""

from __future__ import annotations

from typing import Any

import msgspec
from faststream import AckPolicy
from faststream.exceptions import (
    AckMessage,
    NackMessage,
    RejectMessage,
    SkipMessage,
    StopConsume,
    SubscriberNotFound,
)
from faststream.message import AckStatus

from busway import (
    HandlerSignal,
    OptionError,
    Reject,
    Retry,
    RetryLater,
    SubscribeOptions,
    Undecodable,
)

__all__ = ["Undecided", "after_error", "after_return", "retrying_nacks", "supported", "with_nack"]

_DONE = (AckMessage, SkipMessage, StopConsume)


class Undecided(Exception):
    """What fails an attempt under ``AckPolicy.MANUAL`` whose handler said nothing."""


def supported(policy: AckPolicy) -> AckPolicy:
    """Raises OptionError for what the bus cannot do."""
    if policy is AckPolicy.ACK_FIRST:
        raise OptionError(
            "ack_policy=AckPolicy.ACK_FIRST: the bus acknowledges last, so that nothing is lost. "
            "AckPolicy.ACK takes events as done whatever their handler raises"
        )
    return policy


def after_return(policy: AckPolicy, said: AckStatus | None) -> None:
    """The handler returned. Raises what the bus shall see instead, if anything."""
    if said is AckStatus.NACKED:
        raise NackMessage
    if said is AckStatus.REJECTED:
        raise Reject("rejected by its handler: message.reject()")
    if said is None and policy is AckPolicy.MANUAL:
        raise Undecided(
            "the handler returned without await message.ack(), nack() or reject(), which "
            "AckPolicy.MANUAL asks for"
        )


def after_error(policy: AckPolicy, said: AckStatus | None, error: Exception) -> None:
    """It raised. Returns where that is success; raises what the bus shall see otherwise."""
    if said is not None:
        after_return(policy, said)
        return
    if isinstance(error, _DONE):
        return
    if isinstance(error, NackMessage):
        _raise_nack(error)
    if isinstance(error, RejectMessage):
        raise Reject(_reason(error.extra_options)) from error
    if isinstance(error, SubscriberNotFound):
        raise Reject("no handler's filter takes it") from error
    if isinstance(error, HandlerSignal | Undecodable):
        raise error
    if policy is AckPolicy.ACK:
        return
    if policy is AckPolicy.REJECT_ON_ERROR:
        raise Reject(f"{type(error).__name__}: {error}") from error
    raise error


def _raise_nack(error: NackMessage) -> None:
    after = error.extra_options.get("after")
    if after is None:
        raise error
    raise RetryLater(float(after), "nacked by its handler") from error


def _reason(options: dict[str, Any]) -> str:
    return str(options.get("reason", "rejected by its handler"))


def retrying_nacks(options: SubscribeOptions) -> SubscribeOptions:
    """``NackMessage`` asks for another attempt, whatever else the policy finds worth one."""
    retry = options.get("retry")
    if not isinstance(retry, Retry):
        return options
    return {**options, "retry": with_nack(retry)}


def with_nack(retry: Retry) -> Retry:
    """The same policy, which finds ``NackMessage`` worth another attempt, too."""
    return msgspec.structs.replace(retry, on=(*retry.on, NackMessage))
