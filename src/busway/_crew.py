"""What the workers of one group and their keeper share: what is held, who is idle, who fetches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from operator import attrgetter

import anyio
import msgspec

from ._lanes import Lanes
from ._returns import Returns
from ._run import Run
from ._runtime import Runtime
from ._settle import LetGo, Settler
from .errors import OptionError
from .transport import Delivery, Extends, Feed, Fresh, Group

__all__ = ["Batch", "Crew", "Policy"]

_loan = attrgetter("loan")


class Batch(msgspec.Struct, frozen=True):
    """``batch=Batch(500, within=0.1)``: the handler takes a list of events.

    It is called with ``size`` events, or with fewer when the first of them has waited for
    ``within`` seconds. They are acknowledged together. Returning is success for all; when the
    handler raises, each event's attempt has failed, and those to be tried again come again in a
    later batch. With ``concurrency`` above 1 a batch holds at most one event of a key.
    """

    size: int = 100
    within: float = 0.1

    def __post_init__(self) -> None:
        if self.size < 1 or not self.within > 0:
            raise OptionError(f"{self!r}: it takes a size of 1 or more and more than 0 seconds")


class Policy(msgspec.Struct, frozen=True):
    """What all subscriptions of a group agree on."""

    concurrency: int = 1
    ordered: bool = False
    """``order="key"``: every retry keeps its lane, however long."""
    broadcast: bool = False
    batch: Batch | None = None
    bound: int = 1000
    """Deliveries held in this process at most."""


class Crew:
    """One group's shared state over one open feed."""

    def __init__(self, runtime: Runtime, feed: Feed, group: Group, policy: Policy) -> None:
        self.runtime = runtime
        self.feed = feed
        self.group = group
        self.policy = policy
        self.settler = Settler(runtime, feed, group.name)
        size = 1 if policy.batch is None else policy.batch.size
        self.lanes = Lanes(policy.concurrency, policy.bound, size)
        self.lanes.broke = self._broke
        self.returns = Returns(self.settler, self.lanes, self.forget, self.look_again)
        self.acks = self.lanes.finished
        self.passed_over = 0
        """How many of ``acks`` no handler here was for."""
        self.tracked = isinstance(feed, Extends)
        """Whether somebody must know which deliveries are running: loans can end."""
        self.running: set[Delivery] = set()
        self.loans = False
        """Whether a delivery under a loan that can be revoked was ever seen."""
        self.paused = False
        self.stopping = False
        self.alone = False
        """A suspect runs: nobody else starts or fetches."""
        self.workers = 0
        self.batches: list[list[Delivery]] = []
        """What each worker collects for its next batch; one list per worker for good."""
        self.fetching: anyio.CancelScope | None = None
        self.idle: list[anyio.Event] = []
        self._changed: anyio.Event | None = None
        self.quiet: Callable[[], None] | None = None
        """Called when a worker becomes idle."""

    @property
    def receives(self) -> bool:
        """Whether more may be fetched."""
        return not (self.stopping or self.paused or self.alone)

    @property
    def at_rest(self) -> bool:
        """Whether no worker handles anything."""
        return len(self.idle) + (self.fetching is not None) >= self.workers

    @property
    def stands_still(self) -> bool:
        """Whether nothing of it will ever end by itself: it is paused, and no handler runs who
        could go on with it."""
        return self.paused and self.at_rest

    def gate(self) -> None:
        """``paused`` or ``alone`` changed: let workers start what waits, or nothing of it."""
        shut = self.paused or self.alone
        self.lanes.shut(shut)
        if not shut:
            self.look_again()
        self.changed()

    def begin(self, deliveries: list[Delivery]) -> None:
        """These start, or are tried again in place, which counts once."""
        if self.tracked:
            for delivery in deliveries:
                if delivery.loan is not None and delivery not in self.running:
                    delivery.loan.running += 1
            self.running.update(deliveries)

    def _broke(self, run: Run, finished: list[Delivery]) -> None:
        """What the run had handled, and what of it runs, count one by one from here on."""
        self._one_by_one(run.batch, finished if run.broken is None else [*finished, run.broken])

    def _one_by_one(self, batch: Fresh, begun: list[Delivery]) -> None:
        self.begin(begun)
        if batch.loan is not None:
            batch.loan.finished()

    async def flush(self) -> None:
        """Acknowledge what was handled."""
        # The list stays the same object: workers hold it.
        batch = self.acks[:]
        self.acks.clear()
        passed_over, self.passed_over = self.passed_over, 0
        try:
            await self.acknowledge(batch)
        except BaseException:
            self.passed_over += passed_over
            raise
        if self.group.patterns:
            self.runtime.counters.handled -= passed_over

    async def acknowledge(self, batch: Sequence[Delivery], *, goes_on: bool = False) -> None:
        """These were handled. ``goes_on``: by who looks next for more itself, so that nobody else
        has to be woken for the room there is."""
        try:
            await self.settler.ack(batch)
        except LetGo:
            pass  # said aloud by the settler; it comes again when the loan ends
        except BaseException:
            # Cancelled: it was handled all the same, and is acknowledged in the consumer's last
            # words.
            self.acks[:0] = batch
            if type(batch) is Fresh:
                self._one_by_one(batch, self.acks[: len(batch)])
            raise
        if self.group.patterns:  # a reply is no event that somebody handled
            self.runtime.counters.handled += len(batch)
        tracked = self.tracked
        if type(batch) is Fresh:
            tracked = False  # nothing of it by itself
            if batch.loan is not None:
                batch.loan.finished()
        if tracked or (self.idle and not goes_on) or self._changed is not None:
            self.forget(batch)
        else:
            self.lanes.held -= len(batch)

    def not_begun(self, delivery: Delivery) -> None:
        """It was broken off before its handler had started."""
        self._forget_running([delivery])

    def forget(self, deliveries: Sequence[Delivery]) -> None:
        """These are settled or given back: there is room for as many more."""
        if type(deliveries) is not Fresh:
            self._forget_running(deliveries)
        self.lanes.settled(len(deliveries))
        if self.idle and self.fetching is None:
            self.wake(1)
        self.changed()

    def _forget_running(self, deliveries: Sequence[Delivery]) -> None:
        if self.loans:
            for loan, count in Counter(map(_loan, self.running.intersection(deliveries))).items():
                if loan is not None:
                    loan.finished(count)
        if self.tracked:
            self.running.difference_update(deliveries)

    async def wait_idle(self) -> None:
        """A worker with nothing to do sleeps until it is woken."""
        event = anyio.Event()
        self.idle.append(event)
        if self.quiet is not None:
            self.quiet()
        if self.paused:
            self.changed()
        try:
            await event.wait()
        finally:
            if event in self.idle:
                self.idle.remove(event)

    def wake(self, workers: int) -> None:
        """Let so many idle workers look again."""
        for _ in range(min(workers, len(self.idle))):
            self.idle.pop().set()

    def interrupt(self) -> None:
        """Let whoever fetches look again. Receiving is atomic: nothing is lost by it."""
        if self.fetching is not None:
            self.fetching.cancel()

    def look_again(self) -> None:
        """Something changed for every worker."""
        self.wake(len(self.idle))
        self.interrupt()

    def changed(self) -> None:
        """Something was settled, or began to wait: tell whoever waits for the end."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def change(self) -> None:
        """Wait for the next ``changed``."""
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()
