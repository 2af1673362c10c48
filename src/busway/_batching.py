"""The worker of a subscription that takes batches."""

from __future__ import annotations

from typing import Any

from ._context import current
from ._crew import Batch, Crew
from ._failing import Failing, Waits
from ._handling import Handling, PartlyFailed
from ._keeper import Keeper
from ._tasks import cancelled_by_owner
from .errors import Undecodable
from .message import Envelope
from .transport import Delivery

__all__ = ["Collector"]


class Collector:
    """Deliveries until there are enough of them, or the first is old enough."""

    def __init__(self, crew: Crew, keeper: Keeper, failing: Failing) -> None:
        self._crew = crew
        self._keeper = keeper
        self._failing = failing
        batch = crew.policy.batch or Batch()
        self._size, self._within = batch.size, batch.within
        # The list stays the same object: what it holds can be taken back, or is given back at the
        # end.
        self._batch: list[Delivery] = []
        crew.batches.append(self._batch)
        self._unsettled: list[Delivery] = []
        self._until = 0.0
        self._alarm = float("-inf")

    def add(self, delivery: Delivery) -> None:
        """One more; the first sets the moment by which the batch is flushed."""
        if not self._batch:
            self._until = self._crew.runtime.clock.time() + self._within
        self._batch.append(delivery)

    @property
    def full(self) -> bool:
        """Whether no more is to be added."""
        return len(self._batch) >= self._size

    @property
    def ready(self) -> bool:
        """Whether it is full or old enough, and may start."""
        crew = self._crew
        if not self._batch or crew.paused or crew.alone:
            return False
        if self.full:
            return True
        now = crew.runtime.clock.time()
        if now >= self._until:
            return True
        if self._alarm <= now:  # one at a time: a batch that is full sooner leaves its alarm behind
            self._alarm = self._until
            self._keeper.at(self._until, None, in_lane=False)
        return False

    async def handle(self, handling: Handling) -> None:
        """Call the handler with what there is; acknowledge all, or judge each."""
        batch = self._unsettled = [each for each in self._batch if not each.lost]
        # What was revoked meanwhile is given back by the keeper.
        self._batch[:] = [each for each in self._batch if each.lost]
        if not batch:
            return
        self._crew.begin(batch)
        try:
            fit, values = await self._fitting(batch[:], handling)
            if fit:
                await self._call(fit, values, handling)
        finally:
            # Cancelled: neither success nor failure; given back at the end.
            self._batch[:0] = self._unsettled

    async def _fitting(
        self, batch: list[Delivery], handling: Handling
    ) -> tuple[list[Delivery], list[Any]]:
        """Those that can be given to the handler: what does not fit must not fail its
        neighbours."""
        fit: list[Delivery] = []
        values: list[Any] = []
        unfit: list[tuple[Delivery, Undecodable]] = []
        for delivery in batch:
            assert isinstance(delivery.content, Envelope)
            assert handling.convert is not None
            try:
                values.append(handling.convert(delivery.content))
                fit.append(delivery)
            except Undecodable as error:
                unfit.append((delivery, error))
        for delivery, misfit in unfit:
            await self._failed(delivery, handling, misfit)
        return fit, values

    async def _call(self, batch: list[Delivery], values: list[Any], handling: Handling) -> None:
        assert handling.invoke_batch is not None
        current.set(None)  # a batch has no single cause
        try:
            await handling.invoke_batch(batch, values)
        except BaseException as error:
            if cancelled_by_owner(error):
                raise
            every = dict.fromkeys(range(len(batch)), error)
            errors = error.errors if isinstance(error, PartlyFailed) else every
            waits: Waits = {}
            for place, failure in errors.items():
                await self._failed(batch[place], handling, failure, waits)
            batch = [each for place, each in enumerate(batch) if place not in errors]
        if batch:
            await self._done(batch)

    async def _done(self, batch: list[Delivery]) -> None:
        self._crew.acks.extend(batch)
        self._unsettled.clear()
        await self._crew.flush()
        for delivery in batch:
            self._crew.lanes.open(delivery)
        self._crew.look_again()

    async def _failed(
        self,
        delivery: Delivery,
        handling: Handling,
        error: BaseException,
        waits: Waits | None = None,
    ) -> None:
        self._unsettled.remove(delivery)
        following = await self._failing.failed(delivery, handling, error, waits)
        self._crew.lanes.requeue(following)
        self._crew.look_again()
