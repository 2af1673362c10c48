"""The subscribe side of the bus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from ._actor import Actor, ActorLife, Supervise, Supervisor, actor_specs
from ._crew import Batch
from ._host import State
from ._parts import Parts
from ._spec import Options, Spec, spec_of
from ._subscription import Subscription
from ._verdict import Retry
from .errors import HandlerError, OptionError, StateError
from .message import BusPart
from .middleware import DedupeStore, Mark, Middleware, handler_name
from .transport import Start

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
        group: str | None = None,
        broadcast: bool = False,
        concurrency: int | None = None,
        order: Literal["key"] | None = None,
        batch: Batch | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        start: Start | None = None,
        dedupe: DedupeStore | None = None,
        middleware: Sequence[Middleware | Mark] = (),
    ) -> Callable[[F], F]:
        """Subscribe a function to patterns, or to declared event classes; returns it unchanged.

        The options are those of ``add``.
        """

        given: object = pattern
        if callable(given) and not isinstance(given, type):
            name = handler_name(given)
            raise HandlerError(
                f"@bus.subscribe stands at {name} without a pattern: write "
                '@bus.subscribe("its.topic") or @bus.subscribe(ItsEvent)'
            )

        def decorate(handler: F) -> F:
            self.add(
                handler,
                pattern,
                *more,
                group=group,
                broadcast=broadcast,
                concurrency=concurrency,
                order=order,
                batch=batch,
                retry=retry,
                timeout=timeout,
                start=start,
                dedupe=dedupe,
                middleware=middleware,
            )
            return handler

        return decorate

    def add(
        self,
        handler: Callable[..., Any] | Actor,
        /,
        *patterns: str | type,
        group: str | None = None,
        broadcast: bool = False,
        concurrency: int | None = None,
        order: Literal["key"] | None = None,
        batch: Batch | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        start: Start | None = None,
        dedupe: DedupeStore | None = None,
        middleware: Sequence[Middleware | Mark] = (),
        supervise: Supervise | None = None,
    ) -> Subscription:
        """Subscribe a handler, or an ``Actor``, before or after the bus has started.

        Args:
            handler: Takes the event, and the ``Message`` as a second parameter if it likes. Its
                first parameter's annotation says what the event is converted to. A plain function
                runs in a worker thread; after a time-out its lane stays closed until the thread
                ends.
            patterns: Topics, patterns or declared classes; without any, the classes the handler's
                annotation names.
            group: Subscribers of one group share its events; by default ``<service>.<handler>``, so
                that each handler gets every event.
            broadcast: Every process gets every event from now on. Nothing is kept for a process
                that is gone, nothing is retried later or dead-lettered.
            concurrency: Events handled side by side, never two of one key; 1 unless the group says
                otherwise.
            order: ``"key"``: every retry keeps its lane, however long it waits.
            batch: The handler takes a list.
            retry: Goes before the event's and the bus's.
            timeout: Seconds one attempt may take.
            start: Where a group begins that the broker has never seen: ``"earliest"`` (the
                default), ``"latest"``, or a datetime; of what the transport keeps.
            dedupe: A store of what was handled; duplicates are recognised by the idempotency key,
                else the id.
            middleware: Around this handler, inside that of the bus.
            supervise: What happens when an actor fails; only with an ``Actor``.

        Raises:
            HandlerError, PatternError, EventError, OptionError: the subscription cannot work.
            GroupError: it contradicts another of its group, or two default groups collide.
            StateError: the bus only publishes.
        """
        if self._publish_only:
            raise StateError("this bus was made with publish_only=True: it takes no subscriptions")
        options = Options(
            group, broadcast, concurrency, order, batch, retry, timeout, start, dedupe, middleware
        )
        if isinstance(handler, Actor):
            return self._add_actor(handler, patterns, options, supervise)
        if supervise is not None:
            raise OptionError("supervise= goes with an Actor")
        spec = spec_of(handler, patterns, options)
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
