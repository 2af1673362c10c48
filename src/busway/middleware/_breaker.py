"""``breaker``: while nearly everything fails, wait instead of failing more."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any

from busway._clock import SystemClock
from busway.errors import HandlerSignal, OptionError
from busway.message import Message
from busway.transport import Clock

from ._gate import Gate, Limits, State
from ._options import positive, seconds_of
from ._types import Handler, Middleware, handler_name

__all__ = ["breaker"]


def breaker(
    failures: float = 0.5,
    *,
    minimum: int = 10,
    window: float | timedelta = 30.0,
    pause: float | timedelta = 5.0,
    longest: float | timedelta = 300.0,
    clock: Clock | None = None,
) -> Middleware:
    """Hold a subscription up while too many of its attempts fail. Nothing fails by it or is lost.

    When, of at least ``minimum`` attempts in the last ``window`` seconds, the share ``failures``
    failed, new calls wait, unacknowledged, and the subscription is paused. After ``pause`` seconds
    one of them goes through as a probe: if it succeeds everything goes on, if it fails the wait
    begins again, twice as long, up to ``longest``. ``Reject``, ``RetryLater`` and cancellation say
    nothing about the state of the world and are not counted; such a probe hands over to the next.

    Each handler has its own breaker. Put it outside of ``timeout``, or the wait counts. Stopping
    the bus gives back what waits here.

    ``message.subscription``, where there is one, is paused from when a call begins to wait here
    until no call does: so somebody is always left to send the probe. A pause of your own on the
    same subscription is ended by it.

    Raises ``OptionError`` for an option out of range. Cost: two clock readings at most and one
    counter per message; no task, no timer while it is closed.
    """
    limits = Limits(
        failures=positive("failures", failures, "failures per attempt"),
        minimum=int(positive("minimum", minimum, "attempts")),
        window=seconds_of("window", window),
        pause=seconds_of("pause", pause),
        longest=seconds_of("longest", longest),
    )
    if limits.failures > 1:
        raise OptionError(f"failures={failures!r}: it is a share of the attempts, 1 at most")
    if limits.longest < limits.pause:
        raise OptionError(f"longest={longest!r}: it must not be shorter than pause={pause!r}")
    time = SystemClock() if clock is None else clock

    def wrap(handler: Handler) -> Handler:
        gate = Gate(limits, time, handler_name(handler))

        @functools.wraps(handler)
        async def guarded(message: Message[Any]) -> Any:
            probe = gate.state is not State.CLOSED and await gate.enter(message)
            tenure = gate.tenure
            try:
                result = await handler(message)
            except Exception as error:
                gate.ended(None if isinstance(error, HandlerSignal) else False, probe, tenure)
                raise
            except BaseException:
                gate.ended(None, probe, tenure)
                raise
            gate.ended(True, probe, tenure)
            return result

        return guarded

    return wrap
