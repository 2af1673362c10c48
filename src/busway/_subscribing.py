"""The subscribe side of the bus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, Unpack

import msgspec

from ._actor import Actor, ActorLife, Supervise, Supervisor, actor_specs
from ._host import State
from ._parts import Parts
from ._spec import Options, Spec, SubscribeOptions, options_of, spec_of
from ._subscription import Subscription
from .errors import HandlerError, OptionError, StateError
from .message import BusPart
from .middleware import handler_name

__all__ = ["Subscribing"]

F = TypeVar("F", bound=Callable[..., Any])


class Subscribing:
    """Subscribe, add, and take back."""

    _parts: Parts
    _publish_only: bool

    def subscribe(
        self,
        pattern: str | type,
        /,
        *more: str | type,
        **options: Unpack[SubscribeOptions],
    ) -> Callable[[F], F]:
        """Subscribe a function to patterns, or to declared event classes; returns it unchanged.

        See ``SubscribeOptions`` for the options. The same errors as ``add``.
        """
        given: object = pattern
        if callable(given) and not isinstance(given, type):
            name = handler_name(given)
            raise HandlerError(
                f"@bus.subscribe stands at {name} without a pattern: write "
                '@bus.subscribe("its.topic") or @bus.subscribe(ItsEvent)'
            )

        def decorate(handler: F) -> F:
            self.add(handler, pattern, *more, **options)
            return handler

        return decorate

    def add(
        self,
        handler: Callable[..., Any] | Actor,
        /,
        *patterns: str | type,
        supervise: Supervise | None = None,
        **options: Unpack[SubscribeOptions],
    ) -> Subscription:
        """Subscribe a handler, or an ``Actor``, before or after the bus has started.

        See ``SubscribeOptions`` for the further options.

        Args:
            handler: Takes the event, and the ``Message`` as a second parameter if it likes. Its
                first parameter's annotation says what the event is converted to. A plain function
                runs in a worker thread; after a time-out its lane stays closed until the thread
                ends.
            patterns: Topics, patterns or declared classes; without any, the classes the handler's
                annotation names.
            supervise: What happens when an actor fails; only with an ``Actor``.

        Raises:
            HandlerError, PatternError, EventError, OptionError: the subscription cannot work.
            GroupError: it contradicts another of its group, or two default groups collide.
            StateError: the bus only publishes.
        """
        if self._publish_only:
            raise StateError("this bus was made with publish_only=True: it takes no subscriptions")
        given = options_of(options)
        if isinstance(handler, Actor):
            return self._add_actor(handler, patterns, given, supervise)
        if supervise is not None:
            raise OptionError("supervise= goes with an Actor")
        spec = spec_of(handler, patterns, given)
        return self._enter(spec.name, [spec])

    def _add_actor(
        self,
        actor: Actor,
        patterns: Sequence[str | type],
        options: Options,
        supervise: Supervise | None,
    ) -> Subscription:
        if patterns:
            raise OptionError("an actor's patterns stand at its methods: @on('its.topic')")
        found: list[Subscription] = []
        if supervise is not None:
            supervisor = Supervisor(
                actor,
                supervise,
                self._parts.settings.clock,
                stop=lambda error: self._stop_actor(found[0], error),
                escalate=self._parts.host.fail,
            )
            middleware = (supervisor, *options.middleware)
            options = msgspec.structs.replace(options, middleware=middleware)
        name = type(actor).__name__
        life = ActorLife(actor)
        subscription = self._enter(name, actor_specs(actor, options), life)
        found.append(subscription)
        return subscription

    def _stop_actor(self, subscription: Subscription, error: BaseException) -> None:
        self._parts.runtime.log.critical(
            "actor %s is stopped by its supervisor; its events wait: %s",
            subscription.name,
            error,
            exc_info=error,
        )
        subscription.pause()
        self._parts.host.inside.soon(f"stopping {subscription!r}", subscription.stop)

    def _enter(
        self, name: str, specs: Sequence[Spec], life: ActorLife | None = None
    ) -> Subscription:
        parts = self._parts
        subscription = parts.groups.add(name, specs, self._as_part(), self._remove, life)
        runner = subscription.runner
        if parts.host.state in (State.STARTING, State.RUNNING):
            if runner.opening:
                what = f"following the patterns of {subscription!r}"
                parts.host.inside.soon(what, runner.follow)
            else:
                parts.host.inside.open_group_soon(runner)
        return subscription

    def _as_part(self) -> BusPart:
        return self  # type: ignore[return-value]  # Bus is both; this half does not see the other

    async def _remove(self, subscription: Subscription) -> None:
        parts = self._parts
        if parts.groups.remove(subscription):
            await subscription.runner.follow()
            return
        await subscription.runner.stop()
        parts.host.inside.forget_group(subscription.runner)
