"""The subscriptions of a bus, by group."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from ._group import Channels, GroupRunner, Life
from ._handling import Handling
from ._invoke import Call, batch_invoke, exact_class, single_invoke, tell_handled
from ._routing import matcher
from ._runtime import Runtime
from ._spec import Spec
from ._subscription import Subscription
from .errors import GroupError, OptionError
from .message import BusPart, Envelope
from .middleware import Mark, Middleware, dedupe
from .transport import Delivery

__all__ = ["Groups"]


class Groups:
    """Every group this bus subscribes in."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        member: str,
        bound: int,
        channels: Channels,
        middleware: Sequence[Middleware | Mark],
    ) -> None:
        self.runners: dict[str, GroupRunner] = {}
        self._runtime = runtime
        self._member = member
        self._bound = bound
        self._channels = channels
        self._middleware = middleware
        self._defaults: dict[str, Spec] = {}
        self._calls: dict[Handling, Call] = {}
        self._untell: dict[Handling, Callable[[], None]] = {}
        """The handlers whose successes hooks are told of, with what ends it."""

    def add(
        self,
        name: str,
        specs: Sequence[Spec],
        bus: BusPart,
        remove: Remove,
        life: Life | None = None,
    ) -> Subscription:
        """Put a handler, or an actor's methods with its life, into their group.

        Raises GroupError, HandlerError.
        """
        options = specs[0].options
        group = options.group or self._default(name, specs[0])
        runner = self.runners.get(group)
        if runner is None:
            runner = GroupRunner(group, self._member, self._bound, self._channels)
        runner.check(name, options)
        if life is not None and runner.subscriptions:
            raise GroupError(
                f"group {group!r} has handlers, and an actor has one mailbox of its own. Give "
                f"{name} a group of its own"
            )
        subscription = Subscription(name, specs, runner, remove)
        for spec in specs:
            handling = Handling(spec.name, spec.patterns, _never, options.retry)
            handling.returns = spec.signature.returns
            self._compose(subscription, spec, handling, bus)
            subscription.handlings.append(handling)
        for handling in subscription.handlings:
            runner.routes.add(handling)
        runner.subscriptions.append(subscription)
        if life is not None:
            runner.lives.append(life)
        self.runners[group] = runner
        return subscription

    def remove(self, subscription: Subscription) -> bool:
        """Take it out; whether its group has any left."""
        runner = subscription.runner
        if subscription in runner.subscriptions:
            runner.subscriptions.remove(subscription)
            for handling in subscription.handlings:
                runner.routes.remove(handling)
                self._calls.pop(handling)
                self._untell.pop(handling, None)
        if runner.subscriptions:
            return True
        if self.runners.get(runner.name) is runner:
            del self.runners[runner.name]
            self._defaults.pop(runner.name, None)
        return False

    def chosen(self, only: Collection[str] | None) -> list[GroupRunner]:
        """The groups to run: all, or those named, or with a pattern that is, or matches, one given.

        Raises OptionError for a choice that chooses nothing.
        """
        if only is None:
            return list(self.runners.values())
        if isinstance(only, str):
            raise OptionError(f"only={only!r}: it takes a list of names: only=[{only!r}]")
        chosen: dict[str, GroupRunner] = {}
        for choice in only:
            found = [r for r in self.runners.values() if _is_chosen(r, choice)]
            if not found:
                known = ", ".join(sorted(self.runners)) or "none"
                raise OptionError(f"only={choice!r} chooses no subscription; groups: {known}")
            chosen.update((runner.name, runner) for runner in found)
        return list(chosen.values())

    def _default(self, name: str, spec: Spec) -> str:
        group = f"{self._runtime.service}.{name}"
        other = self._defaults.setdefault(group, spec)
        if other.function != spec.function and group in self.runners:
            raise GroupError(
                f"two handlers named {name!r} would share the default group {group!r}, so that "
                f"each got only some of the events: {_where(other.function)} and "
                f"{_where(spec.function)}. Rename one, or give each a group="
            )
        self._defaults[group] = spec
        return group

    def _compose(
        self, subscription: Subscription, spec: Spec, handling: Handling, bus: BusPart
    ) -> None:
        options = spec.options
        own = list(options.middleware)
        around = [*self._middleware, *own]
        if options.dedupe is not None:
            # Outermost: an event is marked as handled only when all around its handler succeeded.
            # Inside of a middleware that then fails (a commit), its retry would be taken for a
            # duplicate, and the event be lost.
            own.insert(0, dedupe(options.dedupe))
            around.insert(0, own[0])
        in_batches = options.batch is not None
        call = Call(
            spec.function,
            spec.signature,
            subscription.group,
            bus,
            self._runtime,
            own if in_batches else around,
            options.timeout,
            subscription,
        )
        if in_batches:
            convert, invoke = batch_invoke(call)
            handling.convert, handling.invoke_batch = convert, invoke

            def alone(envelope: Envelope, delivery: Delivery) -> Awaitable[Any]:
                return invoke([delivery], [convert(envelope)])

            handling.invoke = alone
        else:
            handling.invoke = single_invoke(call)
            handling.exact = exact_class(call)
            handling.direct = spec.function
        self._calls[handling] = call
        if self._runtime.watchers.handled:
            self._untell[handling] = tell_handled(call, handling)

    def watch(self) -> None:
        """Hooks came or went: let the handlers tell of their successes if anybody listens."""
        if not self._runtime.watchers.handled:
            for untell in self._untell.values():
                untell()
            self._untell.clear()
            return
        for handling, call in self._calls.items():
            if handling not in self._untell:
                self._untell[handling] = tell_handled(call, handling)


Remove = Callable[[Subscription], Awaitable[None]]


def _never(envelope: Envelope, delivery: Delivery) -> Any:
    raise AssertionError("composed before it is called")


def _is_chosen(runner: GroupRunner, choice: str) -> bool:
    if runner.name == choice or choice in runner.routes.patterns:
        return True
    if not any(character in choice for character in "*?[{"):
        return runner.name.rpartition(".")[2] == choice
    return any(matcher([choice])(pattern) for pattern in runner.routes.patterns)


def _where(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    name = getattr(function, "__qualname__", repr(function))
    module = getattr(function, "__module__", "")
    return f"{module}.{name}" + (f" ({code.co_filename}:{code.co_firstlineno})" if code else "")
