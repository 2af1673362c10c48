"""What a breaker knows: whether calls go through, who probes, and who waits."""

from __future__ import annotations

import logging
from enum import Enum
from typing import Any

import anyio
import msgspec

from busway.message import Message, Pausable
from busway.transport import Clock

from ._window import Window

__all__ = ["Gate", "Limits", "State"]

_logger = logging.getLogger("busway.middleware")


class State(Enum):
    CLOSED = "closed"
    """Everything goes through and is counted."""
    OPEN = "open"
    """Everything waits."""
    PROBING = "probing"
    """One call goes through, the others wait for what becomes of it."""


class Limits(msgspec.Struct, frozen=True):
    """The options of ``breaker``, in seconds where they are times."""

    failures: float
    minimum: int
    window: float
    pause: float
    longest: float


class Gate:
    """The state of one breaker. Every change of state is made without awaiting in between."""

    __slots__ = (
        "_changed",
        "_clock",
        "_limits",
        "_name",
        "_paused",
        "_until",
        "_wait",
        "_waiting",
        "_window",
        "state",
        "tenure",
    )

    def __init__(self, limits: Limits, clock: Clock, name: str) -> None:
        self._limits = limits
        self._clock = clock
        self._name = name
        self._window = Window(limits.window)
        self._wait = limits.pause
        self._until = 0.0
        self._waiting = 0
        self._changed: anyio.Event | None = None
        self._paused: Pausable | None = None
        self.state = State.CLOSED
        self.tenure = 0
        """Counts the openings: what began before the last one is not counted after it."""

    async def enter(self, message: Message[Any]) -> bool:
        """Wait until this call may go through; whether it is the probe."""
        self._begin_waiting(message)
        try:
            while True:
                if self.state is State.CLOSED:
                    return False
                if self.state is State.OPEN and self._may_probe():
                    self._become(State.PROBING)
                    return True
                assert self._changed is not None
                until = self._until if self.state is State.OPEN else None
                await self._clock.wait(self._changed, until)
        finally:
            self._end_waiting()

    def ended(self, good: bool | None, probe: bool, tenure: int) -> None:
        """A call came back: it succeeded, failed, or (None) says nothing either way."""
        if probe:
            self._probed(good)
        elif good is not None and tenure == self.tenure:
            self._window.add(self._clock.time(), failed=not good)
            if not good:
                self._judge()

    def _may_probe(self) -> bool:
        now = self._clock.time()
        # A clock that was set back must not make the wait longer than it was meant to be.
        self._until = min(self._until, now + self._wait)
        return now >= self._until

    def _probed(self, good: bool | None) -> None:
        if good is None:
            self._become(State.OPEN)  # its time has come already: the next call probes
        elif good:
            self._wait = self._limits.pause
            self._window.clear()
            self._become(State.CLOSED)
        else:
            self._wait = min(self._wait * 2, self._limits.longest)
            self._open("the probe failed")

    def _judge(self) -> None:
        window, limits = self._window, self._limits
        if window.total >= limits.minimum and window.failed >= limits.failures * window.total:
            self._open(f"{window.failed} of {window.total} attempts failed")

    def _open(self, why: str) -> None:
        self._until = self._clock.time() + self._wait
        self.tenure += 1
        _logger.warning(
            "breaker of %s: %s, waiting %g s",
            self._name,
            why,
            self._wait,
            extra=self._extra("open"),
        )
        self._become(State.OPEN)

    def _become(self, state: State) -> None:
        self.state = state
        if state is not State.OPEN:
            _logger.info(
                "breaker of %s: %s", self._name, state.value, extra=self._extra(state.value)
            )
        if self._changed is not None:
            self._changed.set()
            self._changed = anyio.Event()

    def _extra(self, state: str) -> dict[str, str]:
        return {"busway_event": "breaker", "busway_handler": self._name, "busway_state": state}

    def _begin_waiting(self, message: Message[Any]) -> None:
        self._waiting += 1
        if self._waiting == 1:
            # An event belongs to one run of one event loop; the breaker may outlive it.
            self._changed = anyio.Event()
            self._paused = getattr(message, "subscription", None)
            if self._paused is not None:
                self._paused.pause()

    def _end_waiting(self) -> None:
        self._waiting -= 1
        if self._waiting == 0:
            self._changed = None
            paused, self._paused = self._paused, None
            if paused is not None:
                paused.resume()
