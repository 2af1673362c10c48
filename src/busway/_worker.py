"""What one worker does: take, handle, take the next; and when there is none, fetch.

It is written out in three loops, because most of what an event costs is what is done around it: for
deliveries one by one, for a fresh run of events with nothing made for one of them, and for single
events that are waited for.
"""

from __future__ import annotations

from typing import Any

import anyio

from ._batching import Collector
from ._context import current, working_for
from ._crew import Crew
from ._failing import Failing
from ._handling import Handling
from ._intake import Intake
from ._keeper import Keeper
from ._routes import Routes
from ._run import Run
from ._single import Single
from .message import Envelope
from .transport import Delivery, Extends, HandsOver

__all__ = ["Worker"]


class Worker:
    """The loops that all workers of one group run."""

    def __init__(
        self,
        crew: Crew,
        keeper: Keeper,
        routes: Routes,
        intake: Intake,
        single: Single,
        failing: Failing,
    ) -> None:
        self._crew = crew
        self._runtime = crew.runtime
        self._keeper = keeper
        self._routes = routes
        self._intake = intake
        self._single = single
        self._failing = failing
        feed = crew.feed
        alone = crew.policy.concurrency == 1 and not isinstance(feed, Extends)
        self._hands = feed if alone and isinstance(feed, HandsOver) else None

    async def run(self) -> None:
        """Until the group stops receiving and there is nothing left, or cancelled."""
        crew = self._crew
        working_for.set(crew)
        me = object()
        collector = Collector(crew, self._keeper, self._failing)
        crew.workers += 1
        try:
            while not crew.stopping:
                # One scope for many receives: entering one costs as much as handling an event.
                with anyio.CancelScope() as scope:
                    if crew.policy.batch is None:
                        await self._loop(scope, me)
                    else:
                        await self._collect(scope, me, collector)
        finally:
            crew.workers -= 1
            if crew.quiet is not None:
                crew.quiet()

    async def _collect(self, scope: anyio.CancelScope, me: object, collector: Collector) -> None:
        lanes, single = self._crew.lanes, self._single
        while True:
            # Whether it is old enough is asked when there is nothing to add to it, not each time.
            delivery = None if collector.full else lanes.take(me)
            if delivery is None:
                handling = self._routes.find_any()
                if handling is not None and collector.ready:
                    await collector.handle(handling)
                elif not await self._intake.more(scope):
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

    async def _loop(self, scope: anyio.CancelScope, me: object) -> None:
        crew, lanes, acks, routes = (
            self._crew,
            self._crew.lanes,
            self._crew.acks,
            self._routes.cache,
        )
        ready, resumed, set_current, single = lanes.ready, lanes.resumed, current.set, self._single
        running = crew.running
        delivery: Delivery | None = None
        while True:
            if delivery is None:
                run = None if lanes.run is None else lanes.begin(me)
                if run is not None:
                    delivery = await self._handle_run(run)
                if delivery is None and (run is None or ready or resumed):
                    delivery = lanes.take(me)
                if delivery is None and self._hands is not None and not lanes.held:
                    delivery = await self._hand_over(self._hands, scope, me)
                if delivery is None:
                    if acks:
                        # Meanwhile a wait may have ended: who fetches next would not see it.
                        await crew.flush()
                    elif not await self._intake.more(scope):
                        return
                    continue
            content: Any = delivery.content
            try:
                handling = routes[content.type]
            except (KeyError, AttributeError):  # not seen lately, or no envelope
                # Taken outside of this block: in it, the error would be the handler's context.
                handling = None
            if (
                handling is None
                or delivery.delivered != 1
                or delivery.due is not None
                or delivery.expired
            ):
                delivery = await single.take(delivery)
                continue
            loan = delivery.loan
            if loan is not None:
                if loan.revoked:
                    delivery = await single.take(delivery)
                    continue
                if delivery not in running:  # it may be tried again in place
                    loan.running += 1
            if crew.tracked:
                running.add(delivery)
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

    async def _hand_over(
        self, hands: HandsOver, scope: anyio.CancelScope, me: object
    ) -> Delivery | None:
        """Single events, one after another, each acknowledged before the next is waited for. What
        does not simply return is a delivery like any other."""
        crew, lanes, arrived = self._crew, self._crew.lanes, self._intake.arrived
        routes, set_current = self._routes.cache, current.set
        counters, watchers = self._runtime.counters, self._runtime.watchers
        counts = bool(crew.group.patterns)
        while crew.receives and not watchers.received:
            crew.fetching = scope
            try:
                content = await hands.hand()
            finally:
                crew.fetching = None
            if content is None:
                return None
            lanes.held += 1
            arrived()
            handling = routes.get(content.type)
            data = content.data
            if not crew.receives or scope.cancel_called or watchers.received:
                # It was asked for before: now it waits its turn like what is received.
                self._intake.tell_received(lent := [hands.lend()])
                lanes.ready.extend(lent)
                # Unless all is to stand still: who fetches next waits for what comes after it.
                return lanes.take(me) if crew.receives and not scope.cancel_called else None
            if handling is None or type(data) is not handling.exact:
                return hands.lend()
            set_current(content)
            direct = handling.direct
            try:
                await direct(data)
            except BaseException as error:
                return await self._single.raised(hands.lend(), handling, error)
            hands.done()
            counters.handled += counts
            lanes.held -= 1
            crew.changed()
        return None

    async def _handle_run(self, run: Run) -> Delivery | None:
        """The events of a fresh batch, with nothing made or written for one of them."""
        crew, routes, set_current = self._crew, self._routes.cache, current.set
        single, loan = self._single, run.batch.loan
        if loan is not None:
            loan.running += 1
        for content in run.events:
            try:
                handling: Handling | None = routes[content.type]
            except KeyError:  # not seen lately
                handling = self._routes.find(content.type)
            if handling is None or (loan is not None and loan.revoked):
                delivery = self._broken_off(run)
                crew.not_begun(delivery)
                return await single.take(delivery)
            set_current(content)
            try:
                data = content.data
                if type(data) is handling.exact:
                    direct = handling.direct
                    await direct(data)
                elif handling.plain is not None:
                    plain = handling.plain
                    await plain(content)
                else:
                    invoke = handling.invoke
                    await invoke(content, run.running)
            except BaseException as error:
                return await single.raised(self._broken_off(run), handling, error)
        if run.broken is None:
            crew.lanes.run = None
            await crew.acknowledge(run.batch, goes_on=True)
            return None
        crew.acks.append(run.broken)
        return crew.lanes.after(run.broken)

    def _broken_off(self, run: Run) -> Delivery:
        if run.broken is None:
            self._crew.lanes.break_run()
        assert run.broken is not None
        return run.broken
