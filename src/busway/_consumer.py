"""Demand, receive, lane, handle, judge, settle: the workers of one group.

``concurrency`` long-lived workers share one feed. Whoever finds nothing to do fetches, and handles
the first of what came: an event crosses no task on its way from the broker to its handler. Nothing
is created for a single message but what the message itself needs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import random
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel

from ._batching import Collector
from ._context import current, working_for
from ._crew import Crew, Policy
from ._failing import Failing
from ._keeper import Keeper
from ._members import Members
from ._routes import Routes
from ._run import Run
from ._runtime import Runtime
from ._single import Single
from ._suspects import Suspects
from ._verdict import Backoff
from .errors import TransportError
from .message import Envelope
from .transport import Delivery, Feed, Fresh, Group

__all__ = ["Consumer"]

_LAST_WORDS = 5.0
_TURN = 0.02
_RECONNECT = Backoff(first=0.05, factor=2.0, cap=10.0)


class Consumer:
    """The workers of one group in this process, over one open feed."""

    def __init__(
        self, runtime: Runtime, feed: Feed, group: Group, policy: Policy, routes: Routes
    ) -> None:
        self.crew = Crew(runtime, feed, group, policy)
        self.members = Members(runtime, group)
        self.keeper = Keeper(self.crew)
        self._runtime = runtime
        self._feed = feed
        self._routes = routes
        failing = Failing(self.crew, self.keeper, self.members)
        self._suspects = Suspects(self.crew, self.keeper)
        self._failing = failing
        self._single = Single(self.crew, routes, failing, self._suspects)
        self._failures = 0
        self._fetched = 0
        self._fetched_at = self._turn_ends = time.perf_counter()

    async def run(self, ready: anyio.abc.TaskStatus[None]) -> None:
        """Until ``stop_receiving`` and everything started is settled, or cancelled."""
        try:
            async with anyio.create_task_group() as keeping:
                keeping.start_soon(self.keeper.run)
                async with anyio.create_task_group() as working:
                    for _ in range(self.crew.policy.concurrency):
                        working.start_soon(self._work)
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
        await crew.settler.release(back)
        crew.forget(back)
        for cut_short in [d for d in crew.running if d.loan is not None]:
            cut_short.loan.finished()  # type: ignore[union-attr]

    async def stop_receiving(self) -> None:
        """Fetch nothing more, finish what runs, give the rest back."""
        self.crew.stopping = True
        back = self.keeper.take_back()
        self.crew.look_again()
        await self.crew.settler.release(back)
        self.crew.forget(back)
        self.crew.look_again()

    async def finished_before(self, horizon: float) -> None:
        """Wait until nothing is held but what waits for a time after ``horizon``."""
        while not self.crew.stands_still and (
            self.crew.lanes.held > self.keeper.later_than(horizon)
        ):
            await self.crew.change()

    async def _work(self) -> None:
        crew = self.crew
        working_for.set(crew)
        me = object()
        collector = Collector(crew, self.keeper, self._failing)
        crew.workers += 1
        try:
            while not crew.stopping:
                # One scope for many receives: entering one costs as much as handling an event.
                with anyio.CancelScope() as intake:
                    if crew.policy.batch is None:
                        await self._loop(intake, me)
                    else:
                        await self._collect(intake, me, collector)
        finally:
            crew.workers -= 1
            if crew.quiet is not None:
                crew.quiet()

    async def _collect(self, intake: anyio.CancelScope, me: object, collector: Collector) -> None:
        lanes, single = self.crew.lanes, self._single
        while True:
            handling = self._routes.find_any()
            if collector.ready and handling is not None:
                await collector.handle(handling)
            delivery = lanes.take(me)
            if delivery is None:
                if not await self._more(intake):
                    return
                continue
            lanes.start(delivery)
            if self._is_usual(delivery):
                collector.add(delivery)
            else:
                lanes.requeue(await single.take(delivery))

    def _is_usual(self, delivery: Delivery) -> bool:
        content = delivery.content
        return (
            isinstance(content, Envelope)
            and self._routes.find(content.type) is not None
            and delivery.delivered == 1
            and (delivery.due is None or delivery.due <= self._runtime.clock.time())
            and not delivery.lost
        )

    async def _loop(self, intake: anyio.CancelScope, me: object) -> None:
        crew, lanes, acks, routes = self.crew, self.crew.lanes, self.crew.acks, self._routes.cache
        ready, set_current, single = lanes.ready, current.set, self._single
        delivery: Delivery | None = None
        while True:
            if delivery is None:
                run = None if lanes.run is None else lanes.begin(me)
                if run is not None:
                    delivery = await self._handle_run(run)
                    continue
                delivery = lanes.take(me)
                if delivery is None:
                    if acks:
                        await crew.flush()
                    if not await self._more(intake):
                        return
                    continue
            content: Any = delivery.content
            try:
                handling = routes[content.type]
            except (KeyError, AttributeError):  # not seen lately, or no envelope
                delivery = await single.take(delivery)
                continue
            if delivery.delivered != 1 or delivery.due is not None or crew.tracked:
                delivery = await single.take(delivery)
                continue
            # From here on the same as Single.handle, without its call.
            set_current(content)
            try:
                data = content.data
                if type(data) is handling.exact:
                    direct = handling.direct  # a name, not a method call: see docs/adr/0006
                    result = await direct(data)
                else:
                    invoke = handling.invoke
                    result = await invoke(content, delivery)
            except BaseException as error:
                delivery = await single.raised(delivery, handling, error)
                continue
            if content.reply_to is not None:
                delivery = await single.answer(delivery, handling, result)
                continue
            acks.append(delivery)
            if lanes.straight is not me:
                delivery = lanes.after(delivery)
            elif ready:
                lanes.running = delivery = ready.popleft()
            else:
                delivery = None

    async def _handle_run(self, run: Run) -> Delivery | None:
        """The events of a fresh batch, with nothing made or written for one of them."""
        crew, routes, set_current = self.crew, self._routes.cache, current.set
        single = self._single
        for content in run.events:
            try:
                handling = routes[content.type]
            except KeyError:
                return await single.take(self._broken_off(run))
            set_current(content)
            try:
                data = content.data
                if type(data) is handling.exact:
                    direct = handling.direct
                    await direct(data)
                else:
                    invoke = handling.invoke
                    await invoke(content, run.running)
            except BaseException as error:
                return await single.raised(self._broken_off(run), handling, error)
        if run.broken is None:
            crew.lanes.run = None
            await crew.acknowledge(run.batch)
            return None
        crew.acks.append(run.broken)
        return crew.lanes.after(run.broken)

    def _broken_off(self, run: Run) -> Delivery:
        if run.broken is None:
            self.crew.lanes.break_run()
        assert run.broken is not None
        return run.broken

    async def _more(self, intake: anyio.CancelScope) -> bool:
        """Fetch, or sleep until there is something to do. False: leave the scope."""
        crew = self.crew
        room = crew.lanes.room()
        if crew.stopping:
            return False
        if crew.fetching is not None or crew.paused or crew.alone or room <= 0:
            await crew.wait_idle()
            return True
        crew.fetching = intake
        try:
            batch = await self._feed.receive(1 if self._suspects.wary else room)
        except TransportError as error:
            await self._broken(error)
            return not intake.cancel_called
        finally:
            crew.fetching = None
        self._received(batch)
        if self._fetched_at > self._turn_ends:
            # Handlers that never wait, and publish what they handle next, would let nobody else go.
            await anyio.lowlevel.checkpoint()
            self._turn_ends = time.perf_counter() + _TURN
        return not intake.cancel_called

    def _received(self, batch: Sequence[Delivery]) -> None:
        crew = self.crew
        if self._failures:
            self._failures = 0
            self._runtime.log.warning("group %r: receiving again", crew.group.name)
        now = time.perf_counter()
        crew.lanes.measured(self._fetched, now - self._fetched_at)
        self._fetched, self._fetched_at = len(batch), now
        self._suspects.wary = False
        self.members.stale = True
        if type(batch) is Fresh and not self._runtime.watchers.received:
            crew.lanes.offer(batch)
        else:
            if batch and batch[0].loan is not None:
                crew.tracked = crew.loans = True
            crew.lanes.put(batch)
        if self._runtime.watchers.received:
            for delivery in batch:
                details = (crew.group.name, delivery.attempt, delivery.delivered)
                self._runtime.tell("received", delivery.content, *details)
        if crew.idle_workers:
            # One of them fetches next while this one handles.
            crew.wake(len(batch))
        self.keeper.lively = True
        if self.keeper.asleep:
            self.keeper.nudge()

    async def _broken(self, error: TransportError) -> None:
        self._failures += 1
        if self._failures == 1:
            self._runtime.log.error(
                "group %r cannot receive and tries on: %s", self.crew.group.name, error
            )
        await anyio.sleep(_RECONNECT.wait(self._failures, random()))
