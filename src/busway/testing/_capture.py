"""What a bus does, noted for a test."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import anyio

from busway import Bus
from busway.middleware import (
    DeadLettered,
    Dropped,
    Handled,
    Hooks,
    Published,
    Received,
    Retried,
)

from ._captured_records import Records
from ._unsettled import NotSettled, Unsettled
from ._virtual_clock import VirtualClock, quiet

__all__ = ["Captured", "capture"]


@contextmanager
def capture(bus: Bus) -> Generator[Captured]:
    """Note what this bus does until the context is left.

    ```python
    import anyio

    from busway import Bus
    from busway.testing import capture

    bus = Bus("memory://", service="test")


    async def main() -> None:
        with capture(bus) as captured:
            async with bus:
                await bus.publish("order.placed", {"order_id": "o-1"})
                await captured.settled()
        assert captured.published.topic("order.*").events == [{"order_id": "o-1"}]


    anyio.run(main)
    ```

    It makes no difference whether the bus runs already, starts later, or stops meanwhile. Captures
    may overlap; each notes what happens while it is open.
    """
    unsettled = Unsettled(bus)
    captured = Captured(bus, unsettled)
    with bus.watch(_Notes(captured, unsettled)):
        yield captured


class Captured:
    """What ``capture`` noted, each kind in the order in which it happened."""

    def __init__(self, bus: Bus, unsettled: Unsettled) -> None:
        self.published: Records[Published] = Records()
        """What the broker took, once per publish, whoever published it."""
        self.handled: Records[Handled] = Records()
        """What a handler succeeded at, once per handler."""
        self.retried: Records[Retried] = Records()
        """Attempts that failed and are followed by another."""
        self.dead_lettered: Records[DeadLettered] = Records()
        """What was set aside."""
        self.dropped: Records[Dropped] = Records()
        """What was given up without any handler, and without a letter."""
        self._unsettled = unsettled
        self._bus = bus

    def __repr__(self) -> str:
        return (
            f"<Captured: {len(self.published)} published, {len(self.handled)} handled, "
            f"{len(self.retried)} retried, {len(self.dead_lettered)} dead-lettered, "
            f"{len(self.dropped)} dropped>"
        )

    def clear(self) -> None:
        """Forget what was noted so far."""
        for records in (self.published, self.handled, self.retried):
            records.clear()
        self.dead_lettered.clear()
        self.dropped.clear()

    async def settled(self, *, timeout: float = 5.0, later: bool = True) -> None:
        """Wait until all that was caused is done: nothing waits, nothing runs, and no retry is to
        come; what handlers published is done too.

        With a ``VirtualClock`` nobody waits for a time: as soon as only time is missing, the clock
        goes to the next moment, and again, until nothing is left. That includes what was published
        with ``delay=``. On a real clock retries are waited for, and what has a delay is not.

        With ``later=False`` it returns as soon as all that is left waits for a time to come, and
        the clock stays where it is: move it with ``advance``.

        What lies in a paused group, or waits in another process, is not waited for.

        Raises:
            NotSettled: it is not so within ``timeout`` seconds (of real time). It says what is
                still open.
            StateError: the bus does not run.
        """
        with anyio.move_on_after(timeout):
            await self._settle(later)
            return
        raise NotSettled(await self._unsettled.report(timeout))

    async def _settle(self, later: bool) -> None:
        clock = self._bus.clock
        if not later or not isinstance(clock, VirtualClock):
            await self._bus.drain(later=later)
            return
        while True:
            await self._bus.drain(later=False)
            if not await clock.jump():
                # Nobody waits for a moment of this clock: what is left, if anything, is somebody
                # else's to bring.
                await self._bus.drain()
                await quiet()
                if clock.next_due is None:
                    return


class _Notes(Hooks):
    """Writes down what the bus tells."""

    def __init__(self, captured: Captured, unsettled: Unsettled) -> None:
        self._captured = captured
        self._unsettled = unsettled

    def published(self, details: Published, /) -> None:
        self._captured.published.add(details)

    def received(self, details: Received, /) -> None:
        self._unsettled.begins(details)

    def handled(self, details: Handled, /) -> None:
        self._captured.handled.add(details)
        self._unsettled.ends(details.group, details.envelope)

    def retried(self, details: Retried, /) -> None:
        self._captured.retried.add(details)
        self._unsettled.waits(details)

    def dead_lettered(self, details: DeadLettered, /) -> None:
        self._captured.dead_lettered.add(details)
        self._unsettled.ends(details.group, details.content)

    def dropped(self, details: Dropped, /) -> None:
        self._captured.dropped.add(details)
        self._unsettled.ends(details.group, details.content)
