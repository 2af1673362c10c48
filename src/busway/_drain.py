"""Waiting until nothing is left to do."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from random import random

import anyio
import anyio.lowlevel

from ._consumer import Consumer
from ._group import GroupRunner
from ._runtime import Runtime
from ._verdict import Backoff
from .errors import DrainTimeout, TransportError
from .transport import GroupState, ManagesGroups

__all__ = ["Drain"]

# How often a broker that cannot tell is asked; in this process a consumer says so itself.
_ASK_AGAIN = 0.05
_RECONNECT = Backoff(first=0.05, factor=2.0, cap=2.0)


class Drain:
    """Whether all caused work is done, in these groups, as far as this process can know."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._trouble: TransportError | None = None
        """Why the broker could not be asked last."""
        self._waiting: list[str] = []
        """What it said last of groups that are not done."""

    def late(self, seconds: float, runners: Collection[GroupRunner]) -> DrainTimeout:
        """Not done in time: what was waited for."""
        consumers = [(r.name, r.consumer) for r in runners if r.consumer is not None]
        held = {name: consumer.crew.lanes.held for name, consumer in consumers}
        waits = [f"group {name!r} holds {count} here" for name, count in held.items() if count]
        if self._trouble is not None:
            waits.append(f"the broker cannot be asked what is left ({self._trouble})")
        else:
            waits += self._waiting
        what = "; ".join(waits) or "what was emitted, or nothing any more"
        error = DrainTimeout(f"drain() was not done within {seconds:g} s. Waited for: {what}")
        error.__cause__ = self._trouble
        return error

    async def wait(self, runners: Collection[GroupRunner], deadline: float = math.inf) -> None:
        """Until nothing waits, nothing runs, and no retry is due before ``deadline`` (of the event
        loop's clock). What was published with ``delay=`` is not waited for, nor what lies in a
        paused group."""
        pause = 0.0
        while True:
            horizon = self._runtime.clock.time() + (deadline - anyio.current_time())
            for consumer in [r.consumer for r in runners if r.consumer is not None]:
                await consumer.finished_before(horizon)
            if not await self._busy(_names(runners), horizon):
                return
            # Handed over but not received yet: next turn of the loop. Not there yet: the broker is
            # asked again, ever more slowly.
            await anyio.sleep(pause)
            pause = min(_ASK_AGAIN, pause * 2 + 0.001)

    async def rest(self, runners: Collection[GroupRunner]) -> None:
        """Until nothing is left but what waits for a time to come: retries, what was published with
        ``delay=``, batches that are not full."""
        pause = 0.0
        while True:
            open_ones = [r.consumer for r in runners if r.consumer is not None]
            consumers = [each for each in open_ones if not each.crew.stands_still]
            now = self._runtime.clock.time()
            restless = [each for each in consumers if not _rests(each, now)]
            if restless:
                with anyio.move_on_after(_ASK_AGAIN):
                    await restless[0].crew.change()
                # Who told of the change is at the next thing by then.
                await anyio.lowlevel.checkpoint()
            elif await self._arriving(consumers, now):
                await anyio.sleep(pause)
                pause = min(_ASK_AGAIN, pause * 2 + 0.001)
            else:
                return

    async def _arriving(self, consumers: Collection[Consumer], now: float) -> bool:
        """Whether the transport has something for these that they do not have yet."""
        held = {each.crew.group.name: each.crew.lanes.held for each in consumers}
        return any(
            state.name in held
            and (_due(state, now) or (state.pending or 0) > held[state.name] or _lags(state))
            for state in await self._states()
        )

    async def _busy(self, names: set[str], horizon: float) -> bool:
        states = await self._states()
        busy = [each for each in states if each.name in names and _waits(each, horizon)]
        self._waiting = [_left(each) for each in busy]
        return bool(busy)

    async def _states(self) -> Sequence[GroupState]:
        """What the transport says of its groups. It is asked until it can. Raises TransportError
        when trying again does not help."""
        transport, failures = self._runtime.transport, 0
        if not isinstance(transport, ManagesGroups):
            return ()
        while True:
            try:
                states = await transport.groups()
            except TransportError as error:
                self._trouble = error
                if not error.retryable:
                    raise
                failures += 1
                if failures == 1:
                    told = "drain: the broker cannot be asked what is left, trying on: %s"
                    self._runtime.log.warning(told, error)
                await anyio.sleep(_RECONNECT.wait(failures, random()))
            else:
                self._trouble = None
                return states


def _waits(state: GroupState, horizon: float) -> bool:
    return _lags(state) or bool(state.pending) or _due(state, horizon)


def _left(state: GroupState) -> str:
    """What there is to do in it."""
    lag = "some" if state.lag is None else state.lag
    waits = f"group {state.name!r} has {lag} to hand out and {state.pending or 0} not settled"
    return waits if state.next_due is None else f"{waits}, and a retry to come"


def _lags(state: GroupState) -> bool:
    """Whether something waits to be handed out. How much, some brokers cannot tell at times."""
    return state.oldest is not None if state.lag is None else state.lag > 0


def _due(state: GroupState, horizon: float) -> bool:
    return state.next_due is not None and state.next_due <= horizon


def _rests(consumer: Consumer, now: float) -> bool:
    """Whether it can do nothing before some time comes."""
    crew, due = consumer.crew, consumer.keeper.next_due
    if crew.fetching is not None and crew.fetching.cancel_called:
        return False  # it was told to look again
    return crew.at_rest and not crew.acks and (due is None or due > now)


def _names(runners: Iterable[GroupRunner]) -> set[str]:
    """The groups as the transport names them, without those that stand still."""
    crews = [r.consumer.crew for r in runners if r.consumer is not None]
    return {crew.group.name for crew in crews if not crew.stands_still}
