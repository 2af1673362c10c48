"""One group in this process: what its subscriptions agree on, and its one feed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import anyio.abc

from ._consumer import Consumer
from ._context import working_for
from ._crew import Policy
from ._handling import Handling
from ._routes import Routes
from ._runtime import Runtime
from ._subscription import Options, Spec
from .errors import GroupError, MissingPower
from .transport import Follows, Group, Start

__all__ = ["GroupRunner", "Subscription"]

_CLOSING = 10.0

Channels = Callable[[tuple[str, ...]], frozenset[str] | None]


class GroupRunner:
    """The subscriptions of one group and, while the bus runs, their consumer."""

    def __init__(
        self, name: str, member: str, bound: int, channels: Channels, *, private: bool = False
    ) -> None:
        self.name = name
        self.private = private
        """It gets only what is sent to its own addresses: replies."""
        self.routes = Routes()
        self.subscriptions: list[Subscription] = []
        self.consumer: Consumer | None = None
        self.ended = anyio.Event()
        self._member = member
        self._bound = bound
        self._channels = channels
        self._opened = anyio.Event()
        self.paused = False
        self.opening = False
        """Somebody asked for it to be opened while the bus runs."""
        self.on_open: list[Callable[[], Awaitable[None]]] = []
        self.on_close: list[Callable[[], Awaitable[None]]] = []

    @property
    def group(self) -> Group:
        """As the transport sees it now."""
        if self.private:
            return Group(
                self.name, (), _nothing, frozenset(), "latest", False, self._member
            )
        patterns = self.routes.patterns
        broadcast = self._agreed("broadcast", False)
        start: Start = self._agreed("start", None) or ("latest" if broadcast else "earliest")
        return Group(
            f"{self.name}.{self._member}" if broadcast else self.name,
            patterns,
            self.routes.matches,
            self._channels(patterns) if patterns else frozenset(),
            start,
            not broadcast,
            self._member,
        )

    @property
    def policy(self) -> Policy:
        return Policy(
            concurrency=self._agreed("concurrency", None) or 1,
            ordered=self._agreed("order", None) == "key",
            broadcast=self._agreed("broadcast", False),
            batch=self._agreed("batch", None),
            bound=self._bound,
        )

    def _agreed(self, option: str, default: Any) -> Any:
        for subscription in self.subscriptions:
            value = getattr(subscription.options, option)
            if value is not None:
                return value
        return default

    def check(self, name: str, mine: Options) -> None:
        """Raises GroupError when a further subscription contradicts those that are there."""
        for other in self.subscriptions:
            theirs = other.options
            for option in _SHARED:
                one, two = getattr(mine, option), getattr(theirs, option)
                if one is not None and two is not None and one != two:
                    raise GroupError(
                        f"group {self.name!r}: {name} says {option}={one!r} and "
                        f"{other.name} says {option}={two!r}; a group has one. Make them "
                        "equal, or give one of the handlers a group of its own"
                    )
            if mine.batch is not None or theirs.batch is not None:
                raise GroupError(
                    f"group {self.name!r}: {name} and {other.name}: a group that takes "
                    "batches has one handler. Give one of them a group of its own"
                )

    async def run(
        self, runtime: Runtime, *, task_status: anyio.abc.TaskStatus[None]
    ) -> None:
        """Join, work, leave. Raises TransportError when joining fails."""
        group = self.group
        self.ended = anyio.Event()
        try:
            async with runtime.transport.listen(group) as feed:
                consumer = Consumer(runtime, feed, group, self.policy, self.routes)
                consumer.crew.paused = self.paused
                await consumer.members.announce(group)
                for opening in self.on_open:
                    await opening()
                try:
                    self.consumer = consumer
                    self._opened.set()
                    await consumer.run(task_status)
                finally:
                    await self._close()
        finally:
            self.consumer = None
            self.opening = False
            self._opened = anyio.Event()
            self.ended.set()

    async def _close(self) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSING) as scope:
            for closing in self.on_close:
                await closing()
        if scope.cancelled_caught:
            raise TimeoutError(f"group {self.name!r}: on_stop took over {_CLOSING:g} s")

    async def opened(self) -> None:
        """Wait until it receives."""
        await self._opened.wait()

    async def follow(self) -> None:
        """Tell the transport about patterns that changed while it was open."""
        consumer = self.consumer
        if consumer is None:
            return
        feed = consumer.crew.feed
        if not isinstance(feed, Follows):
            raise MissingPower(
                f"group {self.name!r} is open, and its transport cannot change the patterns of an "
                "open group (power: Follows). Subscribe before the bus starts, or use a new group"
            )
        await feed.follow(self.group)
        await consumer.members.announce(self.group)

    async def stop(self) -> None:
        """Leave the group. From inside one of its own handlers it does not wait for the end."""
        consumer = self.consumer
        if consumer is None:
            return
        ended = self.ended
        await consumer.stop_receiving()
        if working_for.get() is not consumer.crew:
            await ended.wait()

    def pause(self) -> None:
        self.paused = True
        if self.consumer is not None:
            self.consumer.crew.paused = True

    def resume(self) -> None:
        self.paused = False
        if self.consumer is not None:
            self.consumer.crew.paused = False
            self.consumer.crew.look_again()


def _nothing(topic: str) -> bool:
    return False


_SHARED = ("broadcast", "concurrency", "order", "batch", "start")


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
        returns when all that were added before receive."""
        await self.runner.opened()

    def pause(self) -> None:
        """Start nothing more in its group until ``resume``; what runs goes on. The whole group
        pauses: it has one mailbox, and its order would break otherwise."""
        self.runner.pause()

    def resume(self) -> None:
        """Go on."""
        self.runner.resume()

    async def stop(self) -> None:
        """Take the subscription back. What it is handling is finished first; other handlers of its
        group go on. From inside its own handler it returns before that. Twice is harmless."""
        await self._remove(self)

    def __repr__(self) -> str:
        patterns = ", ".join(self.patterns)
        return f"<Subscription {self.name} to {patterns} in group {self.group!r}>"
