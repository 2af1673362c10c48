"""Which calls to a transport go wrong next, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

import anyio
import msgspec

from busway.errors import TransportError

__all__ = ["Fault", "Faults", "Gate", "How", "Operation"]

T = TypeVar("T")

Operation = Literal[
    "connect",
    "send",
    "listen",
    "receive",
    "ack",
    "release",
    "redeliver",
    "move",
    "extend",
    "follow",
    "announce",
    "chart",
    "location",
    "addresses",
    "browse",
    "discard",
    "groups",
    "remove_group",
    "rewind",
]
"""What can go wrong; ``connect`` is entering the transport, the others are its methods and those of
its feeds."""

How = Literal["refused", "lost", "unanswered"]


class Gate:
    """Holds calls back until somebody opens it."""

    def __init__(self) -> None:
        self._reached = anyio.Event()
        self._opened = anyio.Event()

    async def reached(self) -> None:
        """Wait until a call stands before it."""
        await self._reached.wait()

    def open(self) -> None:
        """Let those through that wait, and those to come. Twice is harmless."""
        self._opened.set()

    async def passed(self) -> None:
        """A call's: wait until it is open."""
        self._reached.set()
        await self._opened.wait()


class Fault(msgspec.Struct, eq=False):
    """What happens to some calls of one operation."""

    operation: Operation
    skip: int
    left: float
    when: Callable[[Any], bool] | None = None
    how: How | None = None
    """None: it is carried out."""
    error: Exception | None = None
    seconds: float = 0.0
    gate: Gate | None = None

    def concerns(self, subject: Any) -> bool:
        """Whether it is this one's turn; counts."""
        if self.left <= 0 or not (self.when is None or self.when(subject)):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.left -= 1
        return True

    async def wait(self) -> None:
        """What comes before the call."""
        if self.gate is not None:
            await self.gate.passed()
        if self.seconds:
            await anyio.sleep(self.seconds)

    def said(self) -> Exception:
        return self.error or TransportError(f"injected: {self.operation} {self.how}")


class Faults:
    """The faults to come. ``Flaky`` is one, and asks it before each call."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        """How often each operation was called, failed calls included; for ``send``, items."""
        self._faults: list[Fault] = []
        self._away: Exception | None = None
        self._running: set[anyio.CancelScope] = set()

    def fail(
        self,
        operation: Operation,
        *,
        times: float = 1,
        after: int = 0,
        how: How = "refused",
        when: Callable[[Any], bool] | None = None,
        error: Exception | None = None,
    ) -> None:
        """The next ``times`` calls fail (``math.inf``: all), once ``after`` of them went well.

        ``how``: ``"refused"``, nothing was done and the caller is told so; ``"lost"``, nothing was
        done but the caller cannot know; ``"unanswered"``, it was done and the caller cannot know.
        For ``send`` the first is ``NotWritten``, the others are ``Unknown``; all else raises.

        ``when`` chooses calls by their subject: an ``Outgoing`` for ``send`` (each item is judged
        and counted by itself), the list of deliveries for ``ack``, ``release`` and ``extend``, the
        delivery for ``redeliver`` and ``move``, the ``Group`` for ``listen``, ``follow`` and
        ``announce``, else None. ``error`` is what is said; else a ``TransportError``.
        """
        self._faults.append(Fault(operation, after, times, when, how, error))

    def delay(
        self,
        operation: Operation,
        seconds: float,
        *,
        times: float = 1,
        after: int = 0,
        when: Callable[[Any], bool] | None = None,
    ) -> None:
        """The next calls begin so many seconds (of real time) late."""
        self._faults.append(Fault(operation, after, times, when, seconds=seconds))

    def hold(
        self,
        operation: Operation,
        *,
        times: float = 1,
        after: int = 0,
        when: Callable[[Any], bool] | None = None,
    ) -> Gate:
        """The next calls wait until the gate is opened; then they are carried out."""
        gate = Gate()
        self._faults.append(Fault(operation, after, times, when, gate=gate))
        return gate

    def heal(self) -> None:
        """Forget what was ordered and has not happened, and come back."""
        self._faults.clear()
        self.come_back()

    # --- the connection

    @property
    def away(self) -> bool:
        return self._away is not None

    def go_away(self, error: Exception | None = None) -> None:
        """The broker cannot be had: calls that run break off, and each further one fails, until
        ``come_back``. What it keeps, and what it lent, stays as it was."""
        self._away = error or TransportError("injected: the broker is away")
        self.interrupt()

    def come_back(self) -> None:
        self._away = None

    def interrupt(self) -> None:
        """The connection breaks and is there again: calls that run break off. A ``send`` that is
        broken off is ``Unknown``; a ``receive`` has lent nothing."""
        for scope in tuple(self._running):
            scope.cancel()

    # --- what the wrappers ask

    def faultless(self, operation: Operation) -> bool:
        """Whether nothing can go wrong with the next call of it."""
        return self._away is None and not any(
            fault.operation == operation and fault.left > 0 for fault in self._faults
        )

    def fault_of(self, operation: Operation, subject: Any = None) -> Fault | None:
        """The fault whose turn it is; counts the call."""
        self.calls[operation] += 1
        for fault in self._faults:
            if fault.operation == operation and fault.concerns(subject):
                if fault.left <= 0:
                    self._faults.remove(fault)
                return fault
        return None

    async def around(
        self, operation: Operation, call: Callable[[], Awaitable[T]], subject: Any = None
    ) -> T:
        """A call, with what goes wrong in it. Raises the fault's error, or that of being away."""
        fault = self.fault_of(operation, subject)
        if fault is not None:
            await fault.wait()
            if fault.how is not None and fault.how != "unanswered":
                raise fault.said()
        result = await self.unbroken(operation, call)
        if fault is not None and fault.how is not None:
            raise fault.said()
        return result

    async def unbroken(self, operation: Operation, call: Callable[[], Awaitable[T]]) -> T:
        """Carry it out while the connection holds."""
        if self._away is not None:
            raise self._away
        scope = anyio.CancelScope()
        self._running.add(scope)
        try:
            with scope:
                return await call()
        finally:
            self._running.discard(scope)
        raise Broken(f"injected: the connection broke during {operation}")


class Broken(TransportError):
    """The connection broke while a call was under way: nobody knows whether it was carried out."""
