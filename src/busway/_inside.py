"""The tasks of a bus that is up: its groups, and what goes on beside them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from ._context import current, living_in, working_for
from ._group import GroupRunner
from ._runtime import Runtime

if TYPE_CHECKING:
    from anyio.abc import TaskGroup, TaskStatus

__all__ = ["Inside", "Step", "belong_to"]

Step = Callable[[], Coroutine[Any, Any, None]]


def belong_to(runtime: Runtime) -> None:
    """This task is the bus's own: what its caller was handling is no cause of what it does."""
    current.set(None)
    working_for.set(None)
    living_in.set(runtime)


class Inside:
    """What one life of a bus runs, in a task group that the host lends it."""

    def __init__(self, runtime: Runtime, runners: Iterable[GroupRunner]) -> None:
        self.runners = {runner.name: runner for runner in runners}
        self._runtime = runtime
        self._tasks: TaskGroup | None = None
        self._all_open = False

    async def open(self, tasks: TaskGroup, services: Iterable[Step]) -> None:
        """Open every group, one after another; returns when each receives."""
        self._tasks = tasks
        opened: set[GroupRunner] = set()
        # Another may be added meanwhile, and is opened with them.
        while left := [r for r in self.runners.values() if not (r in opened or r.opening)]:
            opened.add(left[0])
            await tasks.start(self._group, left[0])
        for run in services:
            tasks.start_soon(run)
        self._all_open = True

    def open_group_soon(self, runner: GroupRunner) -> None:
        """Open one more. What keeps it from being opened is logged, and raised by
        ``GroupRunner.opened``."""
        known = self.runners.get(runner.name) is runner
        self.runners[runner.name] = runner
        if self._tasks is None or (known and not self._all_open):
            return  # its turn comes while the bus starts
        runner.opening = True
        self._tasks.start_soon(self._open_reporting, runner)

    async def _open_reporting(self, runner: GroupRunner) -> None:
        assert self._tasks is not None
        try:
            await self._tasks.start(self._group, runner)
        except Exception as error:
            self._runtime.log.error(
                "group %r could not be opened: %s", runner.name, error, exc_info=error
            )

    async def _group(self, runner: GroupRunner, *, task_status: TaskStatus[None]) -> None:
        belong_to(self._runtime)  # it may be opened by a handler
        await runner.run(self._runtime, task_status=task_status)

    def forget_group(self, runner: GroupRunner) -> None:
        # Another may have its name by now.
        if self.runners.get(runner.name) is runner:
            del self.runners[runner.name]

    def soon(self, what: str, run: Callable[[], Awaitable[None]]) -> None:
        """Do something beside the caller; that it failed is logged."""
        if self._tasks is not None:
            self._tasks.start_soon(self._reporting, what, run)

    async def _reporting(self, what: str, run: Callable[[], Awaitable[None]]) -> None:
        belong_to(self._runtime)
        try:
            await run()
        except Exception as error:
            self._runtime.log.error("%s failed: %s", what, error, exc_info=error)

    def cancel(self) -> None:
        """Whatever runs."""
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()

    def closed(self) -> None:
        """The task group has been left."""
        self._tasks = None
        for runner in self.runners.values():
            runner.closed()
