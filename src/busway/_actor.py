"""Actors: state, and methods that handle events one at a time."""

from __future__ import annotations

import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar

import anyio
import msgspec

from ._patterns import read_pattern
from ._spec import Options, Spec, spec_of
from .errors import HandlerError, HandlerSignal, OptionError
from .message import Message
from .middleware import Handler
from .transport import Clock

__all__ = ["Actor", "ActorLife", "Supervise", "Supervisor", "actor_specs", "on"]

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__busway_on__"
_STOPPING = 10.0

_log = logging.getLogger("busway")


def on(*patterns: str | type) -> Callable[[F], F]:
    """Mark a method of an ``Actor`` as the handler of these patterns or event classes."""

    def mark(method: F) -> F:
        setattr(method, _MARK, patterns)
        return method

    return mark


class Actor:
    """A class with state whose methods handle events under one group and one mailbox.

    ```python
    from busway import Actor, Bus, on

    class Billing(Actor):
        @on("order.placed")
        async def placed(self, order: dict) -> None: ...

    bus = Bus()
    bus.add(Billing())
    ```

    One delivery at a time: methods need no locks. With ``bus.add(..., concurrency=8)`` one for each
    key. State is per process: another process that adds the actor has its own.
    """

    async def on_start(self) -> None:
        """Before the first event; raising keeps the bus from starting. Set up the state here if it
        shall be fresh after a restart by ``supervise``."""

    async def on_stop(self) -> None:
        """After the last event; at most 10 seconds."""


class ActorLife:
    """An actor's, from when its group opens until it closes."""

    def __init__(self, actor: Actor) -> None:
        self.start = actor.on_start
        self.stop = actor.on_stop


class Supervise(msgspec.Struct, frozen=True):
    """What happens to an actor, beside the event's own retry, when one of its methods raises.

    ``"restart"``: ``on_stop`` and ``on_start``, at most ``max_restarts`` times in ``within``
    seconds, then, or when ``on_start`` raises, as ``"stop"``. ``"stop"``: it takes no further
    events; they wait for another process.
    ``"escalate"``: the whole bus stops, and ``run`` raises the error. ``Reject`` and ``RetryLater``
    are the actor's own decisions and not failures.
    """

    policy: Literal["restart", "stop", "escalate"] = "restart"
    max_restarts: int = 3
    within: float = 60.0

    def __post_init__(self) -> None:
        if self.policy not in ("restart", "stop", "escalate"):
            raise OptionError(
                f'Supervise({self.policy!r}): it takes "restart", "stop" or "escalate"'
            )
        if self.max_restarts < 0 or not self.within > 0:
            raise OptionError(f"{self!r}: it takes 0 or more restarts within more than 0 seconds")


def actor_specs(actor: Actor, options: Options) -> list[Spec]:
    """Its handlers. Raises HandlerError when it has none, or two with equal patterns."""
    name = type(actor).__name__
    specs: list[Spec] = []
    taken: dict[object, str] = {}
    for attribute, method in inspect.getmembers(actor, inspect.ismethod):
        patterns: Sequence[str | type] | None = getattr(method, _MARK, None)
        if patterns is None:
            continue
        spec = spec_of(method, patterns, options)
        for pattern in spec.patterns:
            for one in read_pattern(pattern):
                other = taken.setdefault(one, attribute)
                if other != attribute:
                    raise HandlerError(
                        f"actor {name}: {other} and {attribute} both handle {pattern!r}; which of "
                        "them shall get an event? Make one pattern more specific, or join them"
                    )
        specs.append(spec)
    if not specs:
        raise HandlerError(f"actor {name} handles nothing: mark a method with @on('its.topic')")
    return specs


class Supervisor:
    """A middleware around an actor's methods that carries out its policy."""

    def __init__(
        self,
        actor: Actor,
        policy: Supervise,
        clock: Clock,
        *,
        stop: Callable[[BaseException], None],
        escalate: Callable[[BaseException], None],
    ) -> None:
        self._actor = actor
        self._policy = policy
        self._clock = clock
        self._stop = stop
        self._escalate = escalate
        self._restarts: deque[float] = deque()
        self._restarting = anyio.Lock()

    def __call__(self, handler: Handler) -> Callable[[Message[Any]], Awaitable[Any]]:
        async def supervised(message: Message[Any]) -> Any:
            try:
                return await handler(message)
            except HandlerSignal:
                raise
            except Exception as error:
                await self._failed(error)
                raise

        return supervised

    async def _failed(self, error: Exception) -> None:
        if self._policy.policy == "escalate":
            self._escalate(error)
        elif self._policy.policy == "stop" or self._too_often():
            self._stop(error)
        else:
            async with self._restarting:
                await self._restart()

    async def _restart(self) -> None:
        name = type(self._actor).__name__
        try:
            with anyio.move_on_after(_STOPPING) as scope:
                try:
                    await self._actor.on_stop()
                except Exception:
                    # Its old state is given up either way.
                    _log.exception("on_stop of actor %s failed", name)
            if scope.cancelled_caught:
                _log.error("on_stop of actor %s took over %g s", name, _STOPPING)
            await self._actor.on_start()
        except Exception as broken:
            self._stop(broken)  # without a state it can handle nothing

    def _too_often(self) -> bool:
        now = self._clock.time()
        while self._restarts and self._restarts[0] <= now - self._policy.within:
            self._restarts.popleft()
        self._restarts.append(now)
        return len(self._restarts) > self._policy.max_restarts
