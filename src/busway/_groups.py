"""The subscriptions of a bus, by group."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from ._composing import Composer
from ._group import Channels, GroupRunner, Life
from ._routing import matcher
from ._spec import Spec
from ._subscription import Subscription
from .errors import GroupError, OptionError
from .message import BusPart

__all__ = ["Groups"]


class Groups:
    """Every group this bus subscribes in."""

    def __init__(
        self,
        service: str,
        *,
        member: str,
        bound: int,
        channels: Channels,
        composer: Composer,
    ) -> None:
        self.runners: dict[str, GroupRunner] = {}
        self._service = service
        self._member = member
        self._bound = bound
        self._channels = channels
        self._composer = composer
        self._defaults: dict[str, Spec] = {}

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
            subscription.handlings.append(self._composer.compose(subscription, spec, bus))
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
                self._composer.forget(handling)
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
        group = f"{self._service}.{name}"
        other = self._defaults.setdefault(group, spec)
        if other.function != spec.function and group in self.runners:
            raise GroupError(
                f"two handlers named {name!r} would share the default group {group!r}, so that "
                f"each got only some of the events: {_where(other.function)} and "
                f"{_where(spec.function)}. Rename one, or give each a group="
            )
        self._defaults[group] = spec
        return group


Remove = Callable[[Subscription], Awaitable[None]]


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
