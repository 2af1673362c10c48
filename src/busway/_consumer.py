"""Demand, receive, lane, handle, judge, settle: the workers of one group.

``concurrency`` long-lived workers share one feed. Whoever finds nothing to do fetches, and handles
the first of what came: an event crosses no task on its way from the broker to its handler. Nothing
is created for a single message but what the message itself needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from ._crew import Crew, Policy
from ._failing import Failing
from ._intake import Intake
from ._keeper import Keeper
from ._members import Members
from ._routes import Routes
from ._runtime import Runtime
from ._single import Single
from ._suspects import Suspects
from ._worker import Worker
from .transport import Feed, Group

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

__all__ = ["Consumer"]

_LAST_WORDS = 5.0


class Consumer:
    """The workers of one group in this process, over one open feed."""

    def __init__(
        self, runtime: Runtime, feed: Feed, group: Group, policy: Policy, routes: Routes
    ) -> None:
        self.crew = Crew(runtime, feed, group, policy)
        self.members = Members(runtime, group)
        self.keeper = Keeper(self.crew)
        failing = Failing(self.crew, self.keeper, self.members)
        suspects = Suspects(self.crew, self.keeper)
        self._single = Single(self.crew, routes, failing, suspects)
        intake = Intake(self.crew, feed, self.keeper, self.members, suspects)
        self._worker = Worker(self.crew, self.keeper, routes, intake, self._single, failing)

    async def run(self, ready: TaskStatus[None]) -> None:
        """Until ``stop_receiving`` and everything started is settled, or cancelled."""
        try:
            async with anyio.create_task_group() as keeping:
                keeping.start_soon(self.keeper.run)
                async with anyio.create_task_group() as working:
                    for _ in range(self.crew.policy.concurrency):
                        working.start_soon(self._worker.run)
                    ready.started()
                keeping.cancel_scope.cancel()
        finally:
            # Nothing that was lent may stay so because of how this ended.
            with anyio.CancelScope(shield=True), anyio.move_on_after(_LAST_WORDS):
                await self._give_back()

    async def _give_back(self) -> None:
        crew = self.crew
        if crew.acks:
            await crew.flush()
        back = [*self._single.abandoned, *self.keeper.take_back()]
        self._single.abandoned.clear()
        await crew.returns.give(back)
        await crew.returns.insist()
        for cut_short in [d for d in crew.running if d.loan is not None]:
            cut_short.loan.finished()  # type: ignore[union-attr]

    async def stop_receiving(self) -> None:
        """Fetch nothing more, finish what runs, give the rest back."""
        self.crew.stopping = True
        back = self.keeper.take_back()
        self.crew.look_again()
        await self.crew.returns.give(back)
        self.crew.look_again()

    async def finished_before(self, horizon: float) -> None:
        """Wait until nothing is held but what waits for a time after ``horizon``."""
        while not self.crew.stands_still and (
            self.crew.lanes.held > self.keeper.later_than(horizon)
        ):
            await self.crew.change()
