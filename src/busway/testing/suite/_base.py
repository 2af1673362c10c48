"""What an adapter's author overrides, and how a test gets at it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import wraps
from typing import Any, NoReturn

import anyio
import pytest

from busway import TransportError
from busway.codec import JsonCodec
from busway.transport import Encoder, Feed, Live, Transport

from ._driver import Driver

__all__ = ["SuiteBase", "kept", "missing"]

_PAUSE = 0.2


def missing(what: str) -> NoReturn:
    """Skip a test, with what the transport lacks as the reason."""
    pytest.skip(f"missing: {what}")


def kept(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """A test of what only a transport has that keeps events for who does not listen now."""

    @wraps(test)
    async def run(self: Any, driver: Driver) -> None:
        if isinstance(driver.transport, Live):
            missing("Live: nothing is kept")
        await test(self, driver)

    return run


class SuiteBase:
    """The fixture, the flags and the hooks of the suite. See ``TransportSuite``."""

    pytestmark = pytest.mark.anyio

    patience: float = 5.0
    """Seconds that something which must happen may take."""
    silence: float = 0.05
    """Seconds the suite listens before it believes that nothing comes. Longer than the broker
    takes to deliver."""
    counts_deliveries: bool = True
    """Whether ``Delivery.delivered`` tells how often something was handed out."""
    keeps_history: bool = True
    """Whether a new group can have what was sent before it existed."""
    keeps_when_closed: bool = True
    """Whether what was written is still there when the last user of the transport has left it."""

    @pytest.fixture
    def transport(self) -> Transport:
        """The transport under test, not entered: the tests enter and leave it. A new one for each
        test. Override this one; it may be an async fixture, and may clean up after its ``yield``.
        """
        raise NotImplementedError("a subclass of TransportSuite overrides the fixture `transport`")

    def encoder(self) -> Encoder:
        """What encodes the envelopes: CloudEvents as JSON."""
        return JsonCodec()

    async def abandon(self, transport: Transport, feed: Feed) -> None:
        """Let the member of this feed die without a goodbye, and return when the broker knows: a
        connection cut and a lease run out, or a session timed out. The suite still leaves the
        feed's context afterwards."""
        missing("the hook abandon()")

    async def corrupt(self, transport: Transport, channel: str, data: bytes) -> None:
        """Put bytes among a channel's events, as a foreign producer would."""
        missing("the hook corrupt()")

    def outage(self, transport: Transport) -> AbstractAsyncContextManager[Any]:
        """While this context is open the broker is gone; afterwards it is back, with all it had."""
        missing("the hook outage()")

    def stalled(self, transport: Transport) -> AbstractAsyncContextManager[Any]:
        """While this context is open the broker takes what it is sent and answers nothing: its
        process is stopped, say, or its answers are swallowed on the way. Afterwards it answers
        again. Whether it carried out what it was sent meanwhile does not matter.

        The transport of the fixture has a deadline shorter than ``patience``.
        """
        missing("the hook stalled()")

    @asynccontextmanager
    async def drive(self, transport: Transport) -> AsyncGenerator[Driver]:
        """Enter the transport for one test. What its broker went through in the one before may make
        it slow to answer: there is a second try, and a third."""
        async with AsyncExitStack() as stack:
            for left in (2, 1, 0):
                try:
                    await stack.enter_async_context(transport)
                    break
                except TransportError as error:
                    if not left or not error.retryable:
                        raise
                await anyio.sleep(_PAUSE)
            yield Driver(transport, self.encoder(), patience=self.patience, silence=self.silence)

    @pytest.fixture
    async def driver(self, transport: Transport) -> AsyncIterator[Driver]:
        async with self.drive(transport) as driver:
            yield driver
