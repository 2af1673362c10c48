"""One group in this process, and its one feed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol

import anyio

from ._agreement import Agreement
from ._consumer import Consumer
from ._context import working_for
from ._live import lower, refuse
from ._routes import Routes
from ._routing import matcher
from ._runtime import Runtime
from ._spec import Options
from ._tasks import cancelled_by_owner
from .errors import GroupError, MissingPower, StateError
from .transport import Follows, Group

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

__all__ = ["GroupRunner", "Life"]

_CLOSING = 10.0

Channels = Callable[[tuple[str, ...]], frozenset[str] | None]


class Life(Protocol):
    """What begins when a group opens and ends when it closes: an actor's."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class GroupRunner:
    """The subscriptions of one group and, while the bus runs, their consumer."""

    def __init__(
        self, name: str, member: str, bound: int, channels: Channels, *, private: bool = False
    ) -> None:
        self.name = name
        self.private = private
        """It gets only what is sent to its own addresses: replies."""
        self.routes = Routes()
        self.agreement = Agreement(name, bound)
        self.subscriptions = self.agreement.parties
        self.consumer: Consumer | None = None
        self.ended = anyio.Event()
        self._member = member
        self._channels = channels
        self._opened = anyio.Event()
        self._failure: Exception | None = None
        self._unwanted = False
        self.paused = False
        self.opening = False
        """It is open, or somebody asked for it to be opened."""
        self.lives: list[Life] = []

    @property
    def group(self) -> Group:
        """As the transport sees it now."""
        if self.private:
            return Group(self.name, (), _nothing, frozenset(), "latest", False, self._member)
        patterns = self.routes.patterns
        broadcast = self.agreement.broadcast
        return Group(
            f"{self.name}.{self._member}" if broadcast else self.name,
            patterns,
            # As it is now: a handler that is taken back last must not make its group forget.
            matcher(patterns),
            self._channels(patterns) if patterns else frozenset(),
            self.agreement.start,
            not broadcast,
            self._member,
        )

    def check(self, name: str, mine: Options) -> None:
        """Raises GroupError when a further subscription contradicts those that are there."""
        self.agreement.check(name, mine)
        if self.lives:
            raise GroupError(
                f"group {self.name!r} is an actor's: it has one mailbox and one life. Give {name} "
                "a group of its own"
            )
        if self.opening:
            self._check_open(name, mine)

    def _check_open(self, name: str, mine: Options) -> None:
        self.agreement.check_open(name, mine)
        crew = None if self.consumer is None else self.consumer.crew
        feed = None if crew is None else crew.feed
        if crew is not None and self.agreement.live:
            refuse(crew.runtime, name, mine)
        if feed is not None and not isinstance(feed, Follows):
            raise MissingPower(
                f"group {self.name!r} is open, and its transport cannot change the patterns of an "
                "open group (power: Follows). Subscribe before the bus starts, or use a new group"
            )

    async def run(self, runtime: Runtime, *, task_status: TaskStatus[None]) -> None:
        """Join, work, leave. Raises TransportError when joining fails, MissingPower."""
        lower(runtime, [self])
        group = self.group
        self.opening = True
        self._failure = None
        if self.ended.is_set():  # else somebody may be waiting for it already
            self.ended = anyio.Event()
        try:
            async with runtime.transport.listen(group) as feed:
                consumer = Consumer(runtime, feed, group, self.agreement.policy, self.routes)
                await consumer.members.announce(group)
                async with AsyncExitStack() as living:
                    for life in self.lives:
                        await life.start()
                        living.push_async_callback(self._end, life, runtime)
                    await self._work(consumer, group, task_status)
        except Exception as error:
            self._failure = error
            raise
        finally:
            self.closed()

    async def _work(self, consumer: Consumer, group: Group, ready: TaskStatus[None]) -> None:
        self.consumer = consumer
        if self.paused:
            self.pause()
        if self._unwanted:
            ready.started()
            return
        if self.routes.patterns != group.patterns and not self.private:
            await self.follow()  # somebody subscribed while it was being opened
        self._opened.set()
        await consumer.run(ready)

    async def _end(self, life: Life, runtime: Runtime) -> None:
        # What an actor does at its end must not keep others from theirs.
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSING) as scope:
            try:
                await life.stop()
            except BaseException as error:
                if cancelled_by_owner(error):
                    raise
                runtime.log.exception("group %r: on_stop failed", self.name)
        if scope.cancelled_caught:
            runtime.log.error("group %r: on_stop took over %g s", self.name, _CLOSING)

    def closed(self) -> None:
        """It does not receive any more, or never did."""
        self.consumer = None
        self.opening = self._unwanted = False
        waited, self._opened = self._opened, anyio.Event()
        waited.set()
        self.ended.set()

    async def opened(self) -> None:
        """Wait until it receives. Raises what kept it from being opened."""
        await self._opened.wait()
        if self.consumer is None:
            if self._failure is not None:
                raise self._failure
            raise StateError(f"group {self.name!r} was closed before it received anything")

    async def follow(self) -> None:
        """Tell the transport about patterns that changed while it was open, if it wants to know."""
        consumer = self.consumer
        if consumer is None:
            return
        feed = consumer.crew.feed
        if isinstance(feed, Follows):
            await feed.follow(self.group)
        await consumer.members.announce(self.group)

    async def end(self) -> None:
        """Receive nothing more. What is only being opened does not begin."""
        if self.consumer is not None:
            await self.consumer.stop_receiving()
        elif self.opening:
            self._unwanted = True

    async def stop(self) -> None:
        """Leave the group. From inside one of its own handlers it does not wait for the end."""
        consumer = self.consumer
        if consumer is None:
            self._unwanted = True
            return
        ended = self.ended
        await consumer.stop_receiving()
        if working_for.get() is not consumer.crew:
            await ended.wait()

    def pause(self) -> None:
        self._set_paused(True)

    def resume(self) -> None:
        self._set_paused(False)

    def _set_paused(self, paused: bool) -> None:
        self.paused = paused
        if self.consumer is not None:
            self.consumer.crew.paused = paused
            self.consumer.crew.gate()


def _nothing(topic: str) -> bool:
    return False
