"""Several buses over one transport, as several processes share a broker; and what they saw."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import anyio

from busway import Backoff, Bus, DeadLetter, Message, Retry
from busway.transport import Browses, Transport

from ._base import missing

__all__ = ["Seen", "Town", "quickly"]

T = TypeVar("T")

Handler = Callable[[Any, "Message[Any]"], Awaitable[Any]]


def quickly(attempts: int = 3, **options: Any) -> Retry:
    """A policy that does not keep a test waiting."""
    return Retry(attempts=attempts, backoff=Backoff(first=0.01, jitter="none"), **options)


class Seen(Generic[T]):
    """What happened so far, and a way to wait until enough did."""

    def __init__(self, patience: float) -> None:
        self.items: list[T] = []
        self._patience = patience
        self._changed = anyio.Event()

    def add(self, item: T) -> None:
        self.items.append(item)
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, enough: Callable[[list[T]], bool]) -> list[T]:
        """Wait for a fact about the items."""
        with anyio.move_on_after(self._patience):
            while not enough(self.items):
                await self._changed.wait()
            return self.items
        raise AssertionError(f"not enough within {self._patience} s: {self.items}")

    async def count(self, number: int) -> list[T]:
        """Wait for so many items."""
        return await self.until(lambda items: len(items) >= number)


class Town:
    """One test's buses. Topics and services have new names, so that tests can share a broker."""

    def __init__(self, transport: Transport, patience: float, silence: float) -> None:
        self.transport = transport
        self.patience = patience
        self.silence = silence
        suffix = uuid.uuid4().hex[:12]
        self.channel = f"orders{suffix}"
        self.topic = f"{self.channel}.placed"
        self.service = f"shop{suffix}"

    def bus(self, **options: Any) -> Bus:
        """One process: a bus of the same service."""
        return Bus(self.transport, service=self.service, **options)

    def group(self, name: str) -> str:
        return f"{self.service}.{name}"

    def seen(self) -> Seen[Any]:
        return Seen(self.patience)

    def noting(
        self, seen: Seen[Any], fail: Callable[[Message[Any]], bool] | None = None
    ) -> Handler:
        """A handler that notes (data, attempt) and then fails if it shall."""

        async def note(data: Any, message: Message[Any]) -> None:
            seen.add((data, message.attempt))
            if fail is not None and fail(message):
                raise ValueError(f"no {data}")

        return note

    async def publish(self, bus: Bus, data: Sequence[object], **options: Any) -> None:
        for each in data:
            await bus.publish(self.topic, each, **options)

    async def letters(self, bus: Bus, group: str, count: int) -> list[DeadLetter]:
        """The dead letters of a group, as soon as there are so many."""
        if not isinstance(self.transport, Browses):
            missing("Browses")
        found: list[DeadLetter] = []
        with anyio.move_on_after(self.patience):
            while len(found) < count:
                await anyio.sleep(0.005)
                found = await bus.dead_letters(self.group(group)).list()
        assert len(found) == count, f"{len(found)} dead letters, expected {count}"
        return found
