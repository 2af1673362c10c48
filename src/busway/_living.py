"""The life of the bus: start, stop, run, drain."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Collection
from types import TracebackType
from typing import Self

import anyio

from ._context import inside, living_in
from ._host import State
from ._lifespan import Lifespan, lifespan_of
from ._live import lower
from ._parts import Parts
from .errors import StateError
from .transport import Clock, Transport

__all__ = ["Living"]


class Living:
    """Start, stop, run, drain."""

    _parts: Parts

    async def start(self, *, only: Collection[str] | None = None) -> None:
        """Connect, and return when every subscription receives.

        ``only`` chooses the subscriptions to run in this process: groups by name or by their
        handler's name, or patterns; all without it.

        Raises:
            StateError: it was started before and not stopped since.
            TransportError: the broker cannot be had; nothing is left running.
            MissingPower: a subscription needs a power that the transport does not have.
            OptionError: ``only`` chooses nothing.
        """
        parts = self._parts
        runners = parts.groups.chosen(only)
        lower(parts.runtime, runners)
        self.from_thread.bind()  # type: ignore[attr-defined]
        await parts.host.start(runners)

    async def stop(self, *, grace: float = 30.0) -> None:
        """Stop: receive nothing more, let what runs finish for ``grace`` seconds, acknowledge what
        was handled, give the rest back, disconnect.

        What still runs then is cancelled; its events are given back, neither failed nor done. On
        ``memory://`` what waits is handled first, within the grace, because nobody else will. Twice
        is harmless; a shorter grace shortens. From inside a handler it returns at once.
        """
        await self._parts.host.stop(grace)

    async def drain(self, *, timeout: float | None = None, later: bool = True) -> None:
        """Wait until nothing is left to do in this bus's groups: nothing waits, nothing runs, no
        retry is due. What was published with ``delay=`` is not waited for, nor what lies in a
        paused group. With ``later=False`` it returns as soon as all that is left waits for a time
        to come.

        A broker that cannot be asked just then, during a failover say, is asked again, with
        backoff.

        Raises:
            DrainTimeout: that is not so within ``timeout`` seconds; a TimeoutError.
            TransportError: the broker cannot be asked, and waiting does not help.
            StateError: the bus does not run, or it is called inside one of its own handlers, which
                would wait for itself.
        """
        parts = self._parts
        if parts.host.state is State.NEW or parts.host.state is State.STOPPED:
            raise StateError(f"the bus is {parts.host.state.value}: nothing can be drained")
        if inside() and living_in.get() is parts.runtime:
            raise StateError(
                "drain() inside a handler would wait until that handler has ended: call it outside "
                "of handlers. To wait for what one event brings about, use `await "
                "bus.request(event)`; to end the bus from here, `await bus.stop()` returns at once"
            )
        runners = parts.groups.runners.values()
        with anyio.move_on_after(timeout) as scope:
            await parts.emitter.flush()
            await (parts.drain.wait(runners) if later else parts.drain.rest(runners))
        if scope.cancelled_caught and timeout is not None:
            raise parts.drain.late(timeout, runners)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
        if error is None and self._parts.host.failure is not None:
            raise self._parts.host.failure

    @property
    def lifespan(self) -> Lifespan:
        """For frameworks that take an async context manager of the app, as Starlette, FastAPI,
        Litestar and FastStream do: ``lifespan=bus.lifespan``. The bus runs while the app does.

        It takes the app, or nothing, and gives ``{"bus": bus}``, which Starlette and FastAPI keep
        as ``request.state.bus``. To use it in a lifespan of your own:
        ``async with bus.lifespan(app): ...``.

        Entering it raises what ``start`` raises: StateError when the bus runs already, or another
        app is in it. Leaving it raises the error that the bus stopped by.
        """
        return lifespan_of(self, self._parts.host)

    async def run(self, *, only: Collection[str] | None = None, grace: float = 30.0) -> None:
        """Run until cancelled, or until SIGINT or SIGTERM.

        The first signal stops as ``stop(grace=grace)`` does, counting down in the log; the second
        cancels what still runs. Raises what ``start`` raises, and the error with which an actor's
        supervisor escalated. Signals can be had in the main thread only.
        """
        host = self._parts.host
        asked: list[signal.Signals] = []
        failed: BaseException | None = None
        async with anyio.create_task_group() as tasks:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                tasks.start_soon(self._obey, signals, asked, grace)
                try:
                    await self.start(only=only)
                    await host.finished.wait()
                except Exception as error:
                    failed = error  # raised below: a task group would wrap it
                finally:
                    await self.stop(grace=grace)
                    tasks.cancel_scope.cancel()
        if isinstance(failed, StateError) and asked:
            return  # stopped by a signal while it was starting
        failed = failed or host.failure
        if failed is not None:
            raise failed

    async def _obey(
        self, signals: AsyncIterator[signal.Signals], asked: list[signal.Signals], grace: float
    ) -> None:
        log = self._parts.runtime.log
        async with anyio.create_task_group() as tasks:
            async for received in signals:
                asked.append(received)
                if len(asked) == 1:
                    log.warning(
                        "%s: draining for up to %g s; again to cancel", received.name, grace
                    )
                    tasks.start_soon(self._stop_counting, grace)
                else:
                    log.warning("%s again: cancelling what still runs", received.name)
                    tasks.start_soon(self._stop_now)

    async def _stop_now(self) -> None:
        await self.stop(grace=0)

    async def _stop_counting(self, grace: float) -> None:
        self._parts.host.counting = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._count_down)
            await self.stop(grace=grace)
            tasks.cancel_scope.cancel()

    async def _count_down(self) -> None:
        host, log = self._parts.host, self._parts.runtime.log
        await anyio.sleep(1)
        while host.seconds_left > 0:
            log.warning("draining: %d in flight, %.0f s left", host.held, host.seconds_left)
            await anyio.sleep(1)

    @property
    def transport(self) -> Transport:
        """What carries the events."""
        return self._parts.runtime.transport

    @property
    def clock(self) -> Clock:
        """Where its time comes from."""
        return self._parts.runtime.clock
