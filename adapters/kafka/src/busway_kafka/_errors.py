"""What went wrong with Kafka, as the errors the core knows.

Three things can become of a request: no broker saw it, a broker refused it, or nobody knows. Each
is a class here, because what may be done next depends on it alone.
"""

from __future__ import annotations

import ssl

from aiokafka.errors import (
    AuthenticationFailedError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    for_code,
)

from busway import TransportError

__all__ = ["NotSent", "Refused", "Unanswered", "checked", "failed", "is_denial", "unreachable"]

# Of these, what the client calls fatal passes by itself, or the other way round.
_PASSES = frozenset({3, 5, 6, 7, 13, 14, 15, 16, 19, 20, 27, 56, 72, 74, 75, 78})
_ADVICE = {
    10: "a broker takes no batch that large: raise max.message.bytes of the topic",
    19: "too few replicas are in sync: see to the brokers that are down",
    29: "grant this user the topic (see the how-to on security)",
    30: "grant this user the group (see the how-to on security)",
    31: "grant this user the cluster's Create, or create the topics beforehand (?create=never)",
    32: "the clocks of this machine and of the broker are too far apart: set them, or raise "
    "message.timestamp.before.max.ms or message.timestamp.after.max.ms of the topic",
    24: "the group is used by clients of another kind",
    23: "the group is used by clients of another kind",
}


class NotSent(TransportError):
    """No broker saw the request. To send it again is safe."""


class Unanswered(TransportError):
    """The request was written and no answer came: it may have been carried out."""


class Refused(TransportError):
    """A broker answered with an error; ``code`` is Kafka's number for it."""

    def __init__(self, code: int, what: str) -> None:
        kind = for_code(code)
        name = getattr(kind, "message", None) or kind.__name__
        text = f"{what}: Kafka says {name} (error {code})"
        if code in _ADVICE:
            text += f"; {_ADVICE[code]}"
        super().__init__(text, retryable=code in _PASSES)
        self.code = code
        self.what = what

    def __reduce__(self) -> tuple[type[Refused], tuple[int, str]]:
        return type(self), (self.code, self.what)


def checked(code: int, what: str) -> None:
    """Raise Refused unless the broker said that all is well."""
    if code:
        raise Refused(code, what)


def is_denial(error: BaseException) -> bool:
    """Whether a broker does not want this client, whatever it asks."""
    kinds = (AuthenticationFailedError, SaslAuthenticationFailed, UnsupportedSaslMechanismError)
    return isinstance(error, (*kinds, ssl.SSLCertVerificationError))


def unreachable(where: str, error: BaseException, advice: str = "") -> NotSent:
    """Nobody answers there, or not to us. The text never holds what was sent."""
    said = str(error) or type(error).__name__
    behind = f"; {advice}" if advice else ""
    if is_denial(error):
        return NotSent(f"Kafka at {where} refuses this client: {said}{behind}", retryable=False)
    return NotSent(f"Kafka at {where} cannot be reached: {said}{behind}")


def failed(where: str, error: BaseException) -> NotSent:
    """It was no matter of Kafka's. Its text is its own, and stands in the cause only."""
    return NotSent(
        f"connecting to Kafka at {where} failed: {type(error).__name__}, of the token provider "
        "or the like (its own words are this error's cause)"
    )
