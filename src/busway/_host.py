"""The life of a bus: its states, and the one task that goes through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from enum import Enum
from typing import Any, cast

import anyio

from ._background import spawn
from ._context import living_in
from ._drain import Drain
from ._group import GroupRunner
from ._inside import Inside, Step, belong_to
from ._runtime import Runtime
from ._stopping import Stopping
from .errors import BuswayError, StateError

__all__ = ["Host", "State"]

_GRACE_AFTER_FAILURE = 5.0
_CLOSING = 10.0


class State(Enum):
    NEW = "not started"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Host:
    """The life of one bus. It can be started again after it has stopped."""

    def __init__(self, runtime: Runtime, drain: Drain) -> None:
        self.state = State.NEW
        self._runtime = runtime
        self._drain = drain
        self._services: list[Step] = []
        self._started = anyio.Event()
        self._finished = anyio.Event()
        self._connecting: anyio.CancelScope | None = None
        self._opened = False
        self.failure: BaseException | None = None
        """Why it stopped by itself."""
        self.inside = Inside(runtime, ())
        self._stopping = Stopping(runtime, drain, self.inside.runners)
        self.on_state: list[Callable[[State], None]] = []
        self.in_app = False
        """Whether the lifespan of an app holds it."""
        self.counting = False
        """Whether somebody else says how long a stop takes."""
        self.after_connect: list[Step] = []
        """What is asked of the transport before anything is opened."""
        self.before_close: list[Step] = []
        """What has to leave the process before the transport is closed."""

    def _enter(self, state: State) -> None:
        self.state = state
        for told in self.on_state:
            told(state)

    def service(self, run: Step) -> None:
        """Run this beside the groups, until the bus stops."""
        self._services.append(run)

    async def start(self, runners: Sequence[GroupRunner]) -> None:
        """Connect and open these groups; returns when each receives.

        Raises StateError when it was started before, or stopped meanwhile, TransportError when the
        broker cannot be had; then nothing is left running.
        """
        if self.state not in (State.NEW, State.STOPPED):
            raise StateError(f"the bus is {self.state.value}: start() once, stop() before the next")
        self._enter(State.STARTING)
        self._started, self._finished = anyio.Event(), anyio.Event()
        self._connecting, self._opened, self.failure = anyio.CancelScope(), False, None
        self.inside = Inside(self._runtime, runners)
        self._stopping = Stopping(self._runtime, self._drain, self.inside.runners)
        spawn(self._main, "busway host")
        try:
            await self._started.wait()
        except BaseException:
            self._abort()
            with anyio.CancelScope(shield=True):
                await self._finished.wait()
            raise
        if self._opened:
            return
        with anyio.CancelScope(shield=True):
            await self._finished.wait()
        failure: BaseException | None = self.failure
        self.failure = None  # it is raised here, and not again when the bus is left
        if failure is None:
            raise StateError("the bus was stopped while it was starting")
        raise _plain(failure)

    async def stop(self, grace: float) -> None:
        """Stop within ``grace`` seconds. A second call waits for the first, or shortens it."""
        if self.state in (State.NEW, State.STOPPED):
            return
        self._ask_to_stop(grace)
        if self._is_inside():
            return  # from inside of it: waiting for the end would be waiting for ourselves
        # Left half-way, a bus would go on receiving with nobody to see it. The grace bounds it.
        with anyio.CancelScope(shield=True):
            await self._finished.wait()

    def _is_inside(self) -> bool:
        return living_in.get() is self._runtime

    @property
    def finished(self) -> anyio.Event:
        return self._finished

    @property
    def seconds_left(self) -> float:
        """Of the grace."""
        return self._stopping.seconds_left

    @property
    def held(self) -> int:
        """Deliveries that are being handled or wait in this process."""
        return self._stopping.held

    def fail(self, error: BaseException) -> None:
        """Stop the whole bus because of this; ``run`` and ``async with`` raise it."""
        self._runtime.log.critical("the bus stops: %s", error, exc_info=error)
        self.failure = self.failure or error
        self._ask_to_stop(_GRACE_AFTER_FAILURE)

    def _ask_to_stop(self, grace: float) -> None:
        self._stopping.shorten(grace)
        if self.state is State.STARTING:
            self._abort()
        elif self.state is State.RUNNING:
            self._enter(State.STOPPING)
        self._stopping.asked.set()

    def _abort(self) -> None:
        self._stopping.asked.set()
        if self._connecting is not None:
            self._connecting.cancel()
        self.inside.cancel()

    async def _main(self) -> None:
        belong_to(self._runtime)
        try:
            async with AsyncExitStack() as stack:
                assert self._connecting is not None
                with self._connecting as connecting:
                    await self._runtime.transport.__aenter__()
                    stack.push_async_exit(self._disconnect)
                    for ask in self.after_connect:
                        await ask()
                if not connecting.cancel_called:
                    await self._live()
        except BaseException as error:
            self._report(error)
        finally:
            self.inside.closed()
            self._enter(State.STOPPED)
            self._started.set()
            self._finished.set()

    async def _disconnect(self, *raised: Any) -> None:
        # A broker that does not answer must not keep a process from ending.
        with anyio.move_on_after(_CLOSING) as scope:
            await self._runtime.transport.__aexit__(*raised)
        if scope.cancelled_caught:
            self._runtime.log.error("the transport did not close within %g s", _CLOSING)

    async def _live(self) -> None:
        async with anyio.create_task_group() as tasks:
            await self.inside.open(tasks, self._services)
            if not self._stopping.asked.is_set():
                self._opened = True
                self._enter(State.RUNNING)
            self._started.set()
            await self._stopping.asked.wait()
            # Not one of its own tasks: it speaks of those that cannot be cancelled, too.
            spawn(self._say_what_is_awaited, "busway stop notice")
            self._enter(State.STOPPING)
            await self._stopping.carry_out(self.before_close)
            tasks.cancel_scope.cancel()

    def _report(self, error: BaseException) -> None:
        errors = list(_leaves(error))
        cancelled = anyio.get_cancelled_exc_class()
        first = next((e for e in errors if not isinstance(e, cancelled)), None)
        if first is None:
            self._runtime.log.error("the bus was cancelled from outside and has stopped")
            return
        self.failure = self.failure or first
        if self._opened:
            self._runtime.log.critical("the bus broke and has stopped: %s", first, exc_info=error)
            return
        self._runtime.log.debug("the bus could not be started", exc_info=error)
        others = {str(each) for each in errors if not isinstance(each, cancelled)} - {str(first)}
        for other in sorted(others):
            self._runtime.log.error("the bus could not be started, for this, too: %s", other)

    async def _say_what_is_awaited(self) -> None:
        await self._stopping.say_what_is_awaited(self._finished, counting=self.counting)


def _plain(error: BaseException) -> BaseException:
    """An error as whoever starts a bus reads it, the sentence last and little above it.

    What an error of ours says is meant for them, and how it came about inside is not (it is logged
    for debugging). A cause that says no more than that sentence does is left out; one that is named
    in it is an error of an adapter, and where it was raised matters.
    """
    if not isinstance(error, BuswayError):
        return error
    said, cause = str(error), error.__cause__
    while cause is not None and str(cause).strip(". ") in said:
        if f"{type(cause).__name__}: " in said:
            break
        cause = cause.__cause__
    error.__cause__ = cause
    return error.with_traceback(None)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        for each in group.exceptions:
            yield from _leaves(each)
    else:
        yield error
