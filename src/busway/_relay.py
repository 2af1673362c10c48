"""From one bus to another: receive here, send there, acknowledge last.

It is a subscription of the source that takes batches, so all that holds for a subscription holds
for it: its group, its order, its loans that are prolonged, its dead letters. What is its own is
that a target which does not take events is no failure of an event: the source keeps them.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio

from ._bus import Bus
from ._carrier import Carrier
from ._crew import Batch
from ._parts import Parts
from ._verdict import Retry
from .errors import EncodeError, MissingPower, OptionError, StateError, TooLarge, TopicError
from .transport import Located, Start, Transport

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

__all__ = ["relay"]

_GRACE = 5.0
"""Seconds that what is being sent is given to arrive, once the relay is cancelled."""

# Only what can never be sent is ever given up; being handed out often explains nothing here.
_FINAL = (EncodeError, TooLarge, TopicError)
_POLICY = Retry(attempts=2**31, give_up_on=_FINAL)


async def relay(
    source: Bus | Transport | str,
    target: Bus | Transport | str,
    *patterns: str | type,
    group: str,
    start: Start | None = None,
    batch: Batch = Batch(500, within=0.01),  # noqa: B008  it is frozen
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Carry the events that match from one bus to another, until cancelled or the source stops.

    ```python
    from functools import partial

    import anyio

    from busway import Bus, relay

    async with Bus() as shop, Bus() as archive, anyio.create_task_group() as tasks:
        await tasks.start(partial(relay, shop, archive, "order.*", group="archive"))
        await shop.publish("order.placed", {"order_id": "o-1"})
        await shop.drain()
        tasks.cancel_scope.cancel()
    ```

    An event arrives as it is: its id, time, key, correlation, data and headers. Beside the headers
    of the application stands one of the bus's own, ``busway-hops``: where the event has been. One
    that has been at the target before is not sent there again; it is counted in
    ``stats().dropped`` of the source, told to its hooks, and the first is logged.

    At least once: an event is acknowledged at the source when the target has it. In order per key:
    what the target refused is sent again before anything behind it. A target that is away is tried
    again with backoff, for ever, and the source keeps what waits. Only what can never be sent
    (undecodable bytes, an event over the target's size limit, a topic it cannot have) becomes a
    dead letter, of this group at the source.

    Args:
        source: A bus that runs, or a URL or a transport, for which one is run meanwhile.
        target: The same.
        patterns: What is carried: patterns, or declared classes. ``"**"`` is everything.
        group: The relay's group at the source. Relays of one group share its events.
        start: Where a group begins that the source has never seen.
        batch: How many events are sent together at most, and how long the first waits for others.
        task_status: For ``await tasks.start(...)``, which returns when it receives.

    Raises:
        StateError: a bus that was given does not run, or the source broke.
        OptionError: there is no pattern, or source and target are one place.
        MissingPower: a transport cannot say where it is (power: Located).
        GroupError: the bus has another subscription in this group.
        TransportError: a broker cannot be had at the start.
    """
    if not patterns:
        raise OptionError('relay(): say what it carries: patterns, or "**" for everything')
    async with AsyncExitStack() as stack:
        there = await _running(stack, target, publish_only=True)
        here = await _running(stack, source, publish_only=False)
        places = await _place(here), await _place(there)
        if places[0] == places[1]:
            raise OptionError(f"relay(group={group!r}): source and target are one place")
        carrier = Carrier(_parts_of(here), _parts_of(there), group, places)
        subscription = here.add(
            carrier.carry,
            *patterns,
            group=group,
            start=start,
            batch=batch,
            order="key",
            retry=_POLICY,
        )
        carrier.runner = subscription.runner
        for handling in subscription.handlings:
            handling.onlooker = True  # who asked is answered over there, or not at all
        try:
            await subscription.ready()
            task_status.started()
            await subscription.runner.ended.wait()
        finally:
            with anyio.CancelScope(shield=True):
                carrier.end()
                with anyio.move_on_after(_GRACE) as grace:
                    await subscription.stop()
                if grace.cancelled_caught:
                    carrier.cut_off()
                    await subscription.stop()
        _raise_why(here, group)


async def _running(stack: AsyncExitStack, given: Bus | Transport | str, publish_only: bool) -> Bus:
    if isinstance(given, Bus):
        if not given.running:
            raise StateError(f"relay(): {given!r} does not run: start it first, or give its URL")
        return given
    bus = Bus(given, service="busway-relay", publish_only=publish_only)
    return await stack.enter_async_context(bus)


async def _place(bus: Bus) -> str:
    transport = bus.transport
    if not isinstance(transport, Located):
        raise MissingPower(
            f"relay(): {type(transport).__name__} cannot say where it is (power: Located), so that "
            "a loop would not be noticed"
        )
    return await transport.location()


def _parts_of(bus: Bus) -> Parts:
    # Not public: a relay is the bus's own, and insists beyond what publish would.
    return bus._parts  # pyright: ignore[reportPrivateUsage]


def _raise_why(source: Bus, group: str) -> None:
    failure = _parts_of(source).host.failure
    if failure is not None:
        raise StateError(f"relay {group!r}: the source stopped: {failure}") from failure
