"""One subscription of this process for all who look on, however many there are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

import anyio

from .._bus import Bus
from .._host import State
from .._parts import Parts
from .._routing import matcher
from .._verdict import Retry
from ..errors import StateError, TransportError
from ..message import Envelope
from ..transport import Browses
from ._entry import Entry, Render, entry_of
from ._recall import recall
from ._ring import Ring

__all__ = ["Hub"]

_log: Final = logging.getLogger("busway.asgi")

_READING: Final = 10.0
"""Seconds that reading the history may take."""
_AGAIN: Final = 60.0
"""Seconds before it is tried again when that did not do."""


class Hub:
    """Keeps the last events in a ring, from when the bus starts, and wakes who waits for more."""

    def __init__(
        self, bus: Bus, patterns: tuple[str, ...], keep: int, render: Render, *, named: bool
    ) -> None:
        self.ring = Ring(keep)
        self._bus = bus
        self._keep = keep
        self._render = render
        self._named = named
        self._wants: Callable[[str], bool] = matcher(patterns)
        self._more = anyio.Event()
        self._awaited = False
        self._recalling = anyio.Lock()
        self._recall_from = 0.0
        parts = self._parts = _parts_of(bus)
        if parts.host.state not in (State.NEW, State.STOPPED):
            raise StateError(
                f"EventStream(): the bus is {parts.host.state.value}. Make it once, before the bus "
                "starts: one that is made for each request would be one subscription more each time"
            )
        self._channels = parts.channels.holding(patterns)
        # A subscription has a group, even one that every process has to itself.
        number = sum(1 for name in parts.groups.runners if name.startswith(self._group("")))
        once = Retry(attempts=1)
        self.subscription = bus.add(
            self._take, *patterns, group=self._group(number + 1), broadcast=True, retry=once
        )
        parts.host.on_state.append(self._changed)

    def _group(self, number: int | str) -> str:
        return f"{self._bus.service}.events-{number}"

    async def _take(self, envelope: Envelope) -> None:
        entry = self._entry(envelope)
        if entry is not None and self.ring.append(entry):
            self._wake()

    def _entry(self, envelope: Envelope) -> Entry | None:
        return entry_of(envelope, self.ring.run, self._render, named=self._named)

    def _wake(self) -> None:
        if self._awaited:
            self._awaited = False
            self._more.set()
            self._more = anyio.Event()

    def _changed(self, state: State) -> None:
        if state is State.STARTING:
            # What others published since it stopped is not in the ring: another run, another order.
            self.ring, self._recall_from = Ring(self._keep), 0.0
        elif state is State.STOPPED:
            self.ring.closed = True
            self._wake()

    @property
    def receives(self) -> bool:
        """Whether what happens comes here: the bus runs, and has started this subscription."""
        return self._bus.running and self.subscription.runner.consumer is not None

    async def wait(self, seconds: float) -> bool:
        """Wait for more; False when there was none in that time."""
        self._awaited = True
        more = self._more
        with anyio.move_on_after(seconds):
            await more.wait()
        return more.is_set()

    async def place_after(self, last: str) -> int | None:
        """The number of what follows an event id that was sent to somebody, from here or from
        another process; None when it is not kept any more."""
        found = self._find(last)
        if found is None and await self._recalled():
            found = self._find(last)
        return found

    def _find(self, last: str) -> int | None:
        run, _, said = last.partition(".")
        ring = self.ring
        if not said.startswith("!"):
            id = unquote(said)
            return ring.after(id) if run == ring.run else ring.not_before(id)
        number, _, before = said[1:].partition("!")
        if run != ring.run:
            return ring.not_before(unquote(before))
        return int(number) if ring.first <= int(number) <= ring.end else None

    async def _recalled(self) -> bool:
        """Whether what the transport keeps stands before what came since the start. It is read
        once, by the first who asks for it."""
        transport = self._bus.transport
        if not isinstance(transport, Browses) or self.ring.closed or len(self.ring) >= self._keep:
            return False
        async with self._recalling:
            now = anyio.current_time()
            if now >= self._recall_from:
                # What is read here is in the ring: who asks next finds it, or nobody does.
                self._recall_from = now + _AGAIN
                try:
                    await self._read(transport)
                except BaseException:
                    # Who asked has gone away: the next who asks reads it.
                    self._recall_from = 0.0
                    raise
        return True

    async def _read(self, transport: Browses) -> None:
        why, ring = f"it took longer than {_READING:g} s", self.ring
        with anyio.move_on_after(_READING):
            try:
                kept = await recall(transport, self._channels, self._wants, self._keep, ring.came)
            except TransportError as error:
                why = str(error)
            else:
                ring.prepend([entry for each in kept if (entry := self._old(each))])
                return
        _log.warning("event stream: what %r keeps could not be read: %s", transport, why)

    def _old(self, envelope: Envelope) -> Entry | None:
        try:
            return self._entry(envelope)
        except Exception as error:
            # Everything, as where it is handled: ``render`` is the application's.
            _log.error("event stream: %s is left out: %r", envelope.type, error)
            return None


def _parts_of(bus: Bus) -> Parts:
    # Not public: when a bus stops is told to its own parts only.
    return bus._parts  # pyright: ignore[reportPrivateUsage]
