"""A clock that stands still until it is moved."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio
import anyio.lowlevel

from busway.errors import OptionError

__all__ = ["VirtualClock"]

_START = datetime(2000, 1, 1, tzinfo=UTC)
_TURNS = 10


class VirtualClock:
    """Time for a bus under test: backoff of hours passes in milliseconds.

    ```python
    from busway import Bus
    from busway.testing import VirtualClock

    clock = VirtualClock()
    bus = Bus("memory://", service="test", clock=clock)
    ```

    It stands still until ``advance`` or ``jump`` moves it, or ``captured.settled()`` does. What
    follows it is what the bus waits for and what it writes down: backoff, ``RetryLater``,
    ``delay=``, ``Batch(within=)``, the limit of ``Retry(within=)``, the time of envelopes and dead
    letters.

    What does **not** follow it is measured in real time: every ``timeout=`` and grace, how the bus
    comes back to a broker that broke, and what your own code does with ``anyio.sleep``,
    ``asyncio.sleep`` or ``time.time()``.

    Args:
        start: The first moment; a datetime with a time zone, or seconds since 1970 (UTC). Without
            it, the beginning of the year 2000.
    """

    def __init__(self, start: datetime | float = _START) -> None:
        if isinstance(start, datetime):
            if start.utcoffset() is None:
                raise OptionError(f"start={start!r} has no time zone: use datetime(…, tzinfo=UTC)")
            start = start.timestamp()
        self._now = float(start)
        self._waits: dict[anyio.CancelScope, float] = {}

    def __repr__(self) -> str:
        return f"<VirtualClock at {self.now.isoformat()}, {len(self._waits)} waits>"

    def time(self) -> float:
        """Seconds since 1970 (UTC)."""
        return self._now

    @property
    def now(self) -> datetime:
        """The same as a datetime, in UTC."""
        return datetime.fromtimestamp(self._now, UTC)

    @property
    def next_due(self) -> float | None:
        """The earliest moment that somebody waits for; None when nobody waits for one."""
        return min(self._waits.values(), default=None)

    async def wait(self, event: anyio.Event, until: float | None, /) -> bool:
        """Wait for the event, at most until that moment; whether the event was set."""
        if until is None:
            await event.wait()
            return True
        if until <= self._now:
            await anyio.lowlevel.checkpoint()
            return event.is_set()
        scope = anyio.CancelScope()
        self._waits[scope] = until
        try:
            with scope:
                await event.wait()
        finally:
            self._waits.pop(scope, None)
        return event.is_set()

    async def advance(self, seconds: float) -> None:
        """Let so much time pass. Whoever waits for a moment in it is woken when it comes, one
        moment after another, and goes on until it waits again. Raises OptionError for less than 0.
        """
        if not seconds >= 0:
            raise OptionError(
                f"advance({seconds!r}): time goes forward: it takes 0 seconds or more"
            )
        end = self._now + seconds
        await quiet()  # who is about to wait has to say until when
        while (due := self.next_due) is not None and due <= end:
            await self._move(due)
        await self._move(end)

    async def jump(self) -> bool:
        """Go to the next moment that somebody waits for; False when nobody does."""
        await quiet()
        due = self.next_due
        if due is None:
            return False
        await self._move(due)
        return True

    async def _move(self, moment: float) -> None:
        self._now = max(self._now, moment)
        for scope in [each for each, until in self._waits.items() if until <= self._now]:
            del self._waits[scope]
            scope.cancel()
        await quiet()


async def quiet() -> None:
    """Let every task go on until it waits."""
    # On asyncio waiting for all tasks costs a tenth of a second unless they wait already.
    for _ in range(_TURNS):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()
