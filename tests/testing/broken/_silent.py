"""A broker in this process that can fall silent, and adapters of it that are right."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import anyio

from busway.errors import TransportError
from busway.testing import Flaky
from busway.testing._faults import Operation
from busway.transport import Feed, Group, Outcome, Outgoing, Unknown

__all__ = ["Silent", "SilentAndDone"]

T = TypeVar("T")


class Silent(Flaky):
    """An adapter with a deadline, and a broker that reads nothing while it is silent."""

    deadline = 0.02
    carries_out = False
    """Whether the broker does, while it is silent, what it does not answer."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.speaks = anyio.Event()
        self.speaks.set()
        self.was_silent = False

    @asynccontextmanager
    async def silence(self) -> AsyncGenerator[None]:
        self.speaks = anyio.Event()
        self.was_silent = True
        try:
            yield
        finally:
            self.speaks.set()

    @property
    def silent(self) -> bool:
        return not self.speaks.is_set()

    async def around(
        self, operation: Operation, call: Callable[[], Awaitable[T]], subject: Any = None
    ) -> T:
        if not self.silent:
            return await call()
        if operation == "receive":
            await self.speaks.wait()
            return await call()
        return await self.unanswered(operation, call)

    async def unanswered(self, operation: Operation, call: Callable[[], Awaitable[T]]) -> T:
        """A call while the broker is silent."""
        if self.carries_out:
            await call()
        with anyio.move_on_after(self.deadline):
            await self.speaks.wait()
        raise TransportError(f"{operation}: the broker said nothing within {self.deadline} s")

    async def __aenter__(self) -> Self:
        await self.around("connect", _nothing)
        await self.inner.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.left()
        await self.inner.__aexit__(*exc)

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        try:
            return await self.around("send", lambda: self.inner.send(items, timeout=timeout))
        except TransportError as error:
            return [Unknown(error)] * len(items)

    @asynccontextmanager
    async def listen(self, group: Group, /) -> AsyncGenerator[Feed]:
        await self.around("listen", _nothing)
        async with self.inner.listen(group) as feed:
            try:
                yield self.wrap(feed, group)
            finally:
                await self.left()

    async def left(self) -> None:
        """Say goodbye, and do not wait for long for the answer."""
        with anyio.move_on_after(self.deadline):
            await self.speaks.wait()

    def faultless(self, operation: Operation) -> bool:
        return not self.silent


class SilentAndDone(Silent):
    """A broker that is heard to say nothing, and has done everything."""

    carries_out = True


async def _nothing() -> None: ...
