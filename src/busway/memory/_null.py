"""``null://``: accepts and forgets."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio

from ..errors import OptionError
from ..transport import WRITTEN, Delivery, Group, Outcome, Outgoing

__all__ = ["NullTransport", "open_null"]


class NullTransport:
    """Takes every event and hands out none: for a service that shall run without its events."""

    async def __aenter__(self) -> NullTransport:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Nothing was opened."""

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        return [WRITTEN] * len(items)

    async def location(self) -> str:
        return "null"

    def listen(self, group: Group, /) -> AbstractAsyncContextManager[NullFeed]:
        return _listen()


@asynccontextmanager
async def _listen() -> AsyncGenerator[NullFeed]:
    yield NullFeed()


class NullFeed:
    """Never receives anything."""

    async def receive(self, limit: int, /) -> Sequence[Delivery]:
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    async def ack(self, deliveries: Sequence[Delivery], /) -> int:
        return 0

    async def release(self, deliveries: Sequence[Delivery], /) -> None:
        """Nothing was lent."""


def open_null(url: str, /) -> NullTransport:
    """The transport of ``null://``. Raises OptionError for anything behind it."""
    if url.partition("://")[2].strip("/"):
        raise OptionError(f"{url!r}: null:// takes no host, no path and no options")
    return NullTransport()
