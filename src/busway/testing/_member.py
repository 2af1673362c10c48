"""One member of a group: the feed of a partitioned log."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import anyio.lowlevel

from busway.errors import TransportError
from busway.message import Envelope
from busway.transport import Delivery, Group

from ._cohort import Cohort
from ._records import Record
from ._tenure import Tenure

__all__ = ["LogFeed"]


class LogFeed:
    """Hands out what its partitions hold, a few of each at a time."""

    def __init__(self, group: Group, cohort: Cohort) -> None:
        self.group = group
        self.cohort = cohort
        self._changed = anyio.Event()
        self._closed = False
        self._turn = 0

    async def receive(self, limit: int, /) -> Sequence[Delivery]:
        # The only place to be cancelled at before something is lent; nothing is awaited after it.
        await anyio.lowlevel.checkpoint()
        while True:
            if self._closed:
                raise TransportError("this feed was left", retryable=False)
            if self not in self.cohort.members:
                self.cohort.join(self)
            self._changed = changed = anyio.Event()
            mine, others = self.cohort.claim(self)
            if found := self._take(mine, limit):
                return found
            await _wait(changed, others)

    def _take(self, mine: Sequence[Tenure], limit: int) -> list[Delivery]:
        """Go round the partitions, so that a full one does not hide the others."""
        found: list[Delivery] = []
        self._turn += 1
        asked = [mine[(self._turn + n) % len(mine)] for n in range(len(mine))]
        while asked and len(found) < limit:
            for tenure in tuple(asked):
                taken = tenure.take() if len(found) < limit else None
                if taken is None:
                    asked.remove(tenure)
                else:
                    found.append(self._lend(tenure, *taken))
        return found

    def _lend(self, tenure: Tenure, offset: int, record: Record) -> Delivery:
        address, partition = tenure.place
        content = record.content()
        key = content.key if isinstance(content, Envelope) else None
        return Delivery(
            content,
            address.channel,
            lane=None if key is None else (address.channel, partition, key),
            attempt=record.attempt,
            delivered=self.cohort.handed(tenure.place, offset),
            due=record.due,
            story=record.story,
            loan=tenure.loan,
            receipt=(tenure, offset),
        )

    async def ack(self, deliveries: Sequence[Delivery], /) -> int:
        await anyio.lowlevel.checkpoint()
        lost = 0
        for delivery in deliveries:
            tenure, offset = _receipt(delivery)
            if tenure.ack(offset):
                self.cohort.finished(tenure.place, offset)
                self.cohort.commit(tenure)
            else:
                lost += tenure.lost([offset])
        return lost

    async def release(self, deliveries: Sequence[Delivery], /) -> None:
        await anyio.lowlevel.checkpoint()
        for delivery in deliveries:
            tenure, offset = _receipt(delivery)
            if tenure.give_back(offset):
                self.cohort.took_back(tenure.place, offset)

    async def follow(self, group: Group, /) -> None:
        await anyio.lowlevel.checkpoint()
        self.group = group
        self.cohort.balance()

    def wake(self) -> None:
        self._changed.set()

    def close(self) -> None:
        """Leave the group. Twice is harmless."""
        self._closed = True
        self.cohort.leave(self, politely=True)


def _receipt(delivery: Delivery) -> tuple[Tenure, int]:
    tenure, offset = delivery.receipt
    return tenure, offset


async def _wait(changed: anyio.Event, others: Sequence[Tenure]) -> None:
    """Until something changed, or a partition that another member must let go of is drained."""
    if not others:
        await changed.wait()
        return
    deadline = min(tenure.until or 0.0 for tenure in others) - anyio.current_time()
    with anyio.move_on_after(max(0.0, deadline)):
        async with anyio.create_task_group() as tasks:

            async def drained(tenure: Tenure) -> None:
                await tenure.loan.drained()
                tasks.cancel_scope.cancel()

            for tenure in others:
                tasks.start_soon(drained, tenure)
            await changed.wait()
            tasks.cancel_scope.cancel()
