"""The one task beside a group's workers: what has to happen at a time, or while all of them work.

It wakes waits that are over, prolongs loans, sends acknowledgements that a long handler would hold
up, gives back what was revoked, and says so when a handler blocked the event loop. While its group
holds nothing it sleeps until it is nudged.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING

import anyio
import msgspec

from ._blame import blame
from ._crew import Crew
from .errors import TransportError
from .transport import Delivery, Extends

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

__all__ = ["Keeper"]

_TICK = 0.05
_BLOCKED = 1.0


class _Timer(msgspec.Struct, order=True):
    when: float
    order: int
    delivery: Delivery | None = None
    """None only wakes the workers: a batch is old enough."""
    in_lane: bool = False


class Keeper:
    """Time, for one group."""

    def __init__(self, crew: Crew) -> None:
        self._runtime = crew.runtime
        self._crew = crew
        self._group = crew.group.name
        self._extends = crew.feed if isinstance(crew.feed, Extends) else None
        self._extended = (time.monotonic(), crew.runtime.clock.time())
        self._unprolonged = False
        self._doing: set[str] = set()
        self._timers: list[_Timer] = []
        self._order = count()
        self._nudge = anyio.Event()
        self.asleep = False
        self.lively = False
        """Something was received since it last looked: no reason yet to go to sleep, and to be
        woken for each single event."""

    @property
    def next_due(self) -> float | None:
        """When the next wait ends."""
        return self._timers[0].when if self._timers else None

    def at(self, when: float, delivery: Delivery | None, *, in_lane: bool) -> None:
        """Start this delivery then; ``in_lane`` if its lane is closed meanwhile."""
        heapq.heappush(self._timers, _Timer(when, next(self._order), delivery, in_lane))
        self.nudge()
        self._crew.changed()

    def nudge(self) -> None:
        """Look again now."""
        self._nudge.set()

    def later_than(self, moment: float) -> int:
        """How many deliveries wait for a time after that moment, or were published with a delay."""
        return sum(
            t.delivery is not None
            and (t.when > moment or not (t.in_lane or t.delivery.story is not None))
            for t in self._timers
        )

    def waiting(self) -> Iterator[Delivery]:
        for timer in self._timers:
            if timer.delivery is not None:
                yield timer.delivery

    def take_back(self) -> list[Delivery]:
        """Take out everything that is held and does not run, each lane's in its order."""
        first = [d for batch in self._crew.batches for d in batch]
        for batch in self._crew.batches:
            batch.clear()
        # Before the waits end: no lane shall go on with what was parked behind them.
        parked = self._crew.lanes.withdraw(lambda _: True)
        timers = sorted(timer for timer in self._timers if timer.delivery is not None)
        self._timers = [timer for timer in self._timers if timer.delivery is None]
        for timer in timers:
            self._end_wait(timer)
        for delivery in first:
            self._crew.lanes.open(delivery)
        waited = [t.delivery for t in timers if t.in_lane and t.delivery is not None]
        early = [t.delivery for t in timers if not t.in_lane and t.delivery is not None]
        return [*waited, *first, *parked, *early]

    def _end_wait(self, timer: _Timer) -> None:
        assert timer.delivery is not None
        if timer.in_lane:
            self._crew.lanes.reopen(timer.delivery)
        else:
            self._crew.lanes.unpark()

    async def run(self) -> None:
        """Until cancelled."""
        async with anyio.create_task_group() as tasks:
            await self._keep(tasks)

    async def _keep(self, tasks: TaskGroup) -> None:
        while True:
            busy = self._crew.lanes.held > 0
            unsent, run = len(self._crew.acks), self._crew.lanes.run
            self.asleep = not (busy or self.lively)
            self.lively = False
            started = time.monotonic()
            await self._sleep(None if self.asleep else _TICK)
            self.asleep = False
            if busy:
                self._report_blocked(time.monotonic() - started)
            self._fire()
            # Each beside this loop: a broker that cannot be told must not hold up the others.
            if run is not None and run is self._crew.lanes.run:
                # Under way for a whole tick: what is finished of it must not wait for the rest.
                self._crew.lanes.break_run()
                unsent = len(self._crew.acks)
            if unsent and self._crew.acks and self._free("flush"):
                tasks.start_soon(self._alone, "flush", self._crew.flush)
            if self._crew.loans and self._free("revoked"):
                tasks.start_soon(self._alone, "revoked", self._give_back_revoked)
            if self._crew.returns.due and self._free("give back"):
                tasks.start_soon(self._alone, "give back", self._crew.returns.again)
            if self._must_extend() and self._free("extend"):
                tasks.start_soon(self._alone, "extend", self._extend)

    def _free(self, what: str) -> bool:
        if what in self._doing:
            return False
        self._doing.add(what)
        return True

    async def _alone(self, what: str, do: Callable[[], Awaitable[None]]) -> None:
        try:
            await do()
        finally:
            self._doing.discard(what)

    async def _sleep(self, tick: float | None) -> None:
        clock = self._runtime.clock
        if tick is None:
            await clock.wait(self._nudge, self.next_due)
        else:
            with anyio.move_on_after(tick):
                await clock.wait(self._nudge, self.next_due)
        if self._nudge.is_set():
            self._nudge = anyio.Event()

    def _fire(self) -> None:
        fired, flushes = 0, False
        now = self._runtime.clock.time()
        lanes = self._crew.lanes
        while self._timers and self._timers[0].when <= now:
            timer = heapq.heappop(self._timers)
            fired += 1
            if timer.delivery is None:
                flushes = True
                continue
            if timer.in_lane:
                lanes.resume(timer.delivery)
            else:
                timer.delivery.due = None
                lanes.unpark()
                lanes.ready.append(timer.delivery)
        if fired:
            # Whoever fetches is asleep in the broker's hands; without this nobody would start them.
            # Whose batch is old enough is not known here, so all of them look.
            self._crew.wake(len(self._crew.idle) if flushes else fired)
            self._crew.interrupt()

    async def _give_back_revoked(self) -> None:
        lost = self._crew.lanes.withdraw_lost()
        timers = [t for t in self._timers if t.delivery is not None and t.delivery.lost]
        for timer in timers:
            self._timers.remove(timer)
            self._end_wait(timer)
        heapq.heapify(self._timers)
        lost.extend(timer.delivery for timer in timers if timer.delivery is not None)
        for batch in self._crew.batches:
            gone = [delivery for delivery in batch if delivery.lost]
            batch[:] = [delivery for delivery in batch if not delivery.lost]
            lost.extend(gone)
            for delivery in gone:
                self._crew.lanes.open(delivery)
        if lost:
            self._runtime.counters.lost += len(lost)
            await self._crew.settler.release(lost)
            self._crew.forget(lost)
            self._crew.look_again()

    def _must_extend(self) -> bool:
        if self._extends is None or self._crew.lanes.held == 0:
            return False
        # Whichever clock says so: the one that leases follow may be a test's, or be set back.
        real, told = self._extended
        passed = max(time.monotonic() - real, self._runtime.clock.time() - told)
        return passed >= self._extends.lease / 3

    async def _extend(self) -> None:
        assert self._extends is not None
        self._extended = (time.monotonic(), self._runtime.clock.time())
        held = [*self._crew.running, *self._crew.lanes.waiting(), *self.waiting()]
        held.extend(d for batch in self._crew.batches for d in batch)
        held.extend(self._crew.acks)
        held.extend(each for each in self._crew.returns.owed if each not in self._crew.running)
        lost: Sequence[Delivery] | None = None
        problem = "not answered within a third of the lease; the adapter's deadline is longer"
        try:
            # The loans run out meanwhile: who is not answered by then has to ask again.
            with anyio.move_on_after(self._extends.lease / 3):
                lost = await self._extends.extend(held)
        except TransportError as error:
            problem = str(error)
        except BaseException as error:
            blame(self._runtime.transport, "extend", error)
        if lost is None:
            self._say_not_prolonged(problem)
            # Again after a twelfth of the lease: another third would be too late for a second try.
            early = self._extends.lease / 4
            self._extended = (self._extended[0] - early, self._extended[1] - early)
            return
        if self._unprolonged:
            self._unprolonged = False
            self._runtime.log.warning("group %r: loans prolonged again", self._group)
        for delivery in lost:
            delivery.expired = True
            self._crew.loans = True

    def _say_not_prolonged(self, problem: str) -> None:
        """Once, however long it lasts."""
        if not self._unprolonged:
            self._unprolonged = True
            self._runtime.log.warning("group %r: loans not prolonged: %s", self._group, problem)

    def _report_blocked(self, seconds: float) -> None:
        if seconds < _BLOCKED + _TICK:
            return
        self._runtime.log.warning(
            "group %r: the event loop stood still for %.1f s. A handler (of this group or another) "
            "blocks it: await inside it, or make it a plain function, which runs in a thread",
            self._group,
            seconds,
        )
