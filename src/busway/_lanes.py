"""Order and room, without I/O: which delivery may start next, and how many more may be fetched.

Rule 1: deliveries of one lane run one after another, in the order received. A lane is *closed*
        while one of it runs beside others, or waits for its next attempt; what arrives for a closed
        lane is parked behind it. While one worker takes delivery after delivery and no other looks,
        there is nothing to run beside: its lane is closed when another worker comes, not before.
Rule 2: who finishes a delivery of a closed lane goes on with the next parked one, so that nothing
        of the lane can slip in between.
Rule 3: what can run now is at most ``window``: as much as is handled in a tenth of a second, so
        that an idle member of the group finds work. What is parked does not count there, or one
        hot lane would keep all others from being fetched; with it, no more than ``bound`` are held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence

from ._run import Run
from .transport import Delivery, Fresh

__all__ = ["Lanes"]

_WINDOW_SECONDS = 0.1
_LARGEST_WINDOW = 1024
_GROWTH = 4


class Lanes:
    """What one group holds in this process: ready, running, parked."""

    __slots__ = (
        "_barred",
        "_closed",
        "_last",
        "_least",
        "_many",
        "_parked",
        "_shut",
        "_widest",
        "bound",
        "broke",
        "finished",
        "held",
        "ready",
        "resumed",
        "run",
        "running",
        "straight",
        "window",
    )

    def __init__(self, concurrency: int, bound: int, batch: int = 1) -> None:
        self._least = concurrency * batch
        self._many = concurrency > 1
        self._closed: dict[Hashable, deque[Delivery] | None] = {}
        self._barred: dict[Hashable, bool] = {}
        """Closed until ``unbar``; whether something of it runs or waits that calls ``after``."""
        self._parked = 0
        self.resumed: deque[Delivery] = deque()
        self._shut = False
        self.ready: deque[Delivery] = deque()
        self._last: object = None
        """The worker that took last."""
        self.straight: object = None
        """The worker, if there is one, for which ``take`` would only pop ``ready``, and ``after``
        find nothing: it took last, no lane is closed, nothing resumed, not shut. So the hot loop
        asks one question."""
        self.running: Delivery | None = None
        """What that worker runs; told here by itself for each delivery it pops."""
        self.run: Run | None = None
        """What was received fresh and has not been looked at one by one."""
        self.broke: Callable[[Run, list[Delivery]], None] = _nothing
        """Told of a run that had begun and is broken off, with what is finished of it."""
        self.finished: list[Delivery] = []
        """Handled and not yet acknowledged; the same list for good."""
        self.held = 0
        """Deliveries received and not yet settled."""
        self.bound = max(bound, self._least)
        self.window = self._least
        self._widest = min(_LARGEST_WINDOW, self.bound)

    def room(self) -> int:
        """How many more may be fetched."""
        return min(self.window - self.held + self._parked, self.bound - self.held)

    @property
    def waits(self) -> bool:
        """Whether another worker may find something that it can start."""
        return self.run is not None or bool(self.ready or self.resumed)

    def measured(self, count: int, seconds: float) -> None:
        """So many deliveries took so long: fit the window to the pace."""
        if self.window == self._widest and self.window * seconds <= _WINDOW_SECONDS * count:
            return  # as wide as can be, and rightly so
        pace = _WINDOW_SECONDS * count / max(seconds, 1e-6)
        largest = min(self._widest, self.window * _GROWTH)
        self.window = int(max(self._least, min(pace, largest)))

    def put(self, deliveries: Sequence[Delivery]) -> None:
        """Received, in this order."""
        self.held += len(deliveries)
        self.ready.extend(deliveries)

    def offer(self, batch: Fresh) -> None:
        """Received, and all of it simply new."""
        if self.run is not None or self.ready:
            self.put(batch)
        else:
            self.held += len(batch)
            self.run = Run(batch)

    def begin(self, worker: object) -> Run | None:
        """What this worker may handle one after another without asking, until somebody breaks it
        off: nobody else runs anything of a lane."""
        run = self.run
        if run is None or run.begun:
            return None
        self._come(worker)
        if self._closed or self.resumed or self._shut:
            return None
        # What was told of before: of a run, nothing is until it is broken off.
        self.running = self.straight = None
        run.begun = True
        return run

    def break_run(self) -> None:
        """Somebody looks: from here on each event of a run is a delivery like any other."""
        run = self.run
        if run is not None:
            self.run = None
            finished, left = run.break_off()
            self.finished.extend(finished)
            self.ready.extendleft(reversed(left))
            if run.broken is not None:
                self.running = run.broken
            if run.begun:
                self.broke(run, finished)

    def _come(self, worker: object) -> None:
        if worker is not self._last:
            self._close_running()
            self._last = worker

    def take(self, worker: object) -> Delivery | None:
        """The next that this worker may start now; it gives it back to ``after``."""
        self.break_run()
        self._come(worker)
        self.straight = None if self._closed or self.resumed or self._shut else worker
        self.running = delivery = self._next()
        if delivery is not None and self.straight is None:
            self.start(delivery)
        return delivery

    def _next(self) -> Delivery | None:
        if self._shut:
            return None
        if self.resumed:
            self._parked -= 1
            return self.resumed.popleft()
        ready, closed = self.ready, self._closed
        while ready:
            delivery = ready.popleft()
            lane = delivery.lane
            if closed and lane in closed:
                self._queue(lane, delivery)
                continue
            return delivery
        return None

    def shut(self, shut: bool) -> None:
        """While shut, nothing starts: ``take`` and ``after`` give out none."""
        self.break_run()
        self._shut = shut
        self.straight = None

    def _close_running(self) -> None:
        if self.running is not None:
            self.start(self.running)

    def start(self, delivery: Delivery) -> None:
        """Close the lane of what runs, if others can run beside it: they may from now on."""
        if self.running is delivery:
            self.running = None
        if self._many and delivery.lane is not None:
            self._closed.setdefault(delivery.lane, None)
            self.straight = None

    def _queue(self, lane: Hashable, delivery: Delivery) -> None:
        parked = self._closed[lane]
        if parked is None:
            parked = self._closed[lane] = deque()
        parked.append(delivery)
        self._parked += 1

    def after(self, delivery: Delivery) -> Delivery | None:
        """The delivery is finished: the next of its lane, if one is parked; else the lane is
        open."""
        if self.running is delivery:
            self.running = None  # else whoever comes next would close its lane
        closed = self._closed
        if not closed:
            return None
        lane = delivery.lane
        if lane is None or lane not in closed:
            return None
        if lane in self._barred:
            self._barred[lane] = False
            return None
        parked = closed[lane]
        if not parked:
            del closed[lane]
            return None
        if self._shut:
            # Still parked, and still the first of its lane.
            self.resumed.append(parked.popleft())
            return None
        self._parked -= 1
        return parked.popleft()

    def close(self, delivery: Delivery) -> None:
        """The delivery waits for its next attempt: its lane stays closed, its worker is free."""
        self._parked += 1
        self.straight = None
        if self.running is delivery:
            self.running = None
        if delivery.lane is not None and delivery.lane not in self._closed:
            self._closed[delivery.lane] = None

    def resume(self, delivery: Delivery) -> None:
        """Its wait is over: it is the next to start, before anything parked behind it."""
        self.break_run()
        self.straight = None
        self.resumed.append(delivery)

    def bar(self, delivery: Delivery) -> None:
        """It is owed to the broker: nothing of its lane starts until ``unbar``."""
        self._close_running()
        if delivery.lane is not None:
            self._barred.setdefault(delivery.lane, delivery.lane in self._closed)
        self.close(delivery)

    def unbar(self, delivery: Delivery) -> None:
        """It is owed no longer, nor is any other of its lane."""
        self._parked -= 1
        if not self._barred.pop(delivery.lane, True):
            self.open(delivery)

    def settled(self, count: int) -> None:
        """So many deliveries were acknowledged or given back."""
        self.held -= count

    def waiting(self) -> Iterator[Delivery]:
        """Everything that is held and not running, except what waits for its time."""
        self.break_run()
        yield from self.resumed
        yield from self.ready
        for parked in self._closed.values():
            yield from parked or ()

    def open(self, delivery: Delivery) -> None:
        """The delivery is finished and its worker does something else next."""
        self.requeue(self.after(delivery))

    def requeue(self, following: Delivery | None) -> None:
        """What ``after`` returned, for somebody else to start."""
        if following is not None:
            self.straight = None
            self._parked += 1
            self.resumed.append(following)

    def park(self, delivery: Delivery) -> Delivery | None:
        """It came before its time: hold it without a lane. The next of its lane, if one is
        parked."""
        self._parked += 1
        return self.after(delivery)

    def unpark(self) -> None:
        """What was held without a lane is not any more."""
        self._parked -= 1

    def reopen(self, delivery: Delivery) -> None:
        """What waited for its next attempt is given up: the next of its lane may start."""
        self._parked -= 1
        self.open(delivery)

    def withdraw(self, unwanted: Callable[[Delivery], bool]) -> list[Delivery]:
        """Take out what waits and is unwanted, each lane's in its order; running ones, and those
        with a time, stay."""
        self.break_run()
        return self._withdraw(unwanted)

    def withdraw_lost(self) -> list[Delivery]:
        """The same for what is somebody else's by now. A run that is not goes on."""
        run = self.run
        if run is not None and run.batch.loan is not None and run.batch.loan.revoked:
            self.break_run()
        return self._withdraw(lambda delivery: delivery.lost)

    def _withdraw(self, unwanted: Callable[[Delivery], bool]) -> list[Delivery]:
        resumed = [d for d in self.resumed if unwanted(d)]
        parked: list[Delivery] = []
        for lane, queue in self._closed.items():
            if queue:
                parked.extend(d for d in queue if unwanted(d))
                self._closed[lane] = deque(d for d in queue if not unwanted(d)) or None
        self._parked -= len(parked)
        for delivery in resumed:
            # After the queues: what takes its place is wanted.
            self.resumed.remove(delivery)
            self.reopen(delivery)
        ready = [d for d in self.ready if unwanted(d)]
        kept = [d for d in self.ready if not unwanted(d)]
        # The deque stays the same object: workers hold it.
        self.ready.clear()
        self.ready.extend(kept)
        return [*resumed, *parked, *ready]


def _nothing(run: Run, finished: list[Delivery]) -> None:
    pass
