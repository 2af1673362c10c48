"""What ``bus.add`` returns: the handle of a handler that was put into a group."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ._group import GroupRunner
from ._handling import Handling
from ._spec import Spec

__all__ = ["Subscription"]


class Subscription:
    """What ``bus.add`` returns: a handler's, or an actor's, place in its group."""

    __slots__ = ("_remove", "handlings", "name", "options", "patterns", "runner")

    def __init__(
        self,
        name: str,
        specs: Sequence[Spec],
        runner: GroupRunner,
        remove: Callable[[Subscription], Awaitable[None]],
    ) -> None:
        self.name = name
        """The handler's name, or the actor's class."""
        self.options = specs[0].options
        self.patterns = tuple(dict.fromkeys(p for spec in specs for p in spec.patterns))
        self.runner = runner
        self.handlings: list[Handling] = []
        self._remove = remove

    @property
    def group(self) -> str:
        """The name of its group."""
        return self.runner.name

    @property
    def paused(self) -> bool:
        return self.runner.paused

    async def ready(self) -> None:
        """Wait until its group receives: for a subscription added while the bus runs. ``start``
        returns when all that were added before receive. Raises what kept it from being opened."""
        await self.runner.opened()

    def pause(self) -> None:
        """Start nothing more in its group until ``resume``; what runs goes on. The whole group
        pauses: it has one mailbox, and its order would break otherwise."""
        self.runner.pause()

    def resume(self) -> None:
        """Go on."""
        self.runner.resume()

    async def stop(self) -> None:
        """Take the subscription back: it starts nothing more. What it is handling is finished
        first, unless other handlers keep its group open, or this is called from inside its own
        handler: then it goes on while this returns. Twice is harmless.

        The group stays, and its events wait for whoever subscribes in it next, unless it was a
        broadcast; ``bus.remove_group`` ends it."""
        await self._remove(self)

    def __repr__(self) -> str:
        patterns = ", ".join(self.patterns)
        return f"<Subscription {self.name} to {patterns} in group {self.group!r}>"
