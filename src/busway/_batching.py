"""The worker of a subscription that takes batches."""

from __future__ import annotations



from ._context import current
from ._crew import Crew
from ._failing import Failing
from ._handling import Handling
from ._keeper import Keeper
from ._tasks import cancelled_by_owner
from .transport import Delivery

__all__ = ["Collector"]


class Collector:
    """Deliveries until there are enough of them, or the first is old enough."""

    def __init__(self, crew: Crew, keeper: Keeper, failing: Failing) -> None:
        self._crew = crew
        self._keeper = keeper
        self._failing = failing
        self.batch: list[Delivery] = []
        self._until = 0.0

    def add(self, delivery: Delivery) -> None:
        """One more; the first sets the moment by which the batch is flushed."""
        assert self._crew.policy.batch is not None
        if not self.batch:
            self._until = self._crew.runtime.clock.time() + self._crew.policy.batch.within
            self._keeper.at(self._until, None, in_lane=False)
        self.batch.append(delivery)

    @property
    def ready(self) -> bool:
        """Whether it is full or old enough."""
        assert self._crew.policy.batch is not None
        if len(self.batch) >= self._crew.policy.batch.size:
            return True
        return bool(self.batch) and self._crew.runtime.clock.time() >= self._until

    async def handle(self, handling: Handling) -> None:
        """Call the handler with what there is; acknowledge all, or judge each."""
        batch, self.batch = self.batch, []
        assert handling.invoke_batch is not None
        current.set(None)  # a batch has no single cause
        try:
            await handling.invoke_batch(batch)
        except BaseException as error:
            if cancelled_by_owner(error):
                self.batch = batch
                raise
            for delivery in batch:
                following = await self._failing.failed(delivery, handling, error)
                self._crew.lanes.requeue(following)
            self._crew.look_again()
            return
        self._crew.acks.extend(batch)
        await self._crew.flush()
        for delivery in batch:
            self._crew.lanes.open(delivery)


