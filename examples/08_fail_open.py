"""A page must be served though the broker is down: ``fail_open`` and ``emit``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import anyio
import msgspec

from busway import Bus, PublishError, TransportError, event
from busway.transport import Feed, Group, NotWritten, Outcome, Outgoing


@event("page.viewed", key="url")
class PageViewed(msgspec.Struct, frozen=True):
    url: str


class Down:
    """A broker that can be reached but takes nothing."""

    def __init__(self) -> None:
        self.refused = 0

    async def __aenter__(self) -> Down:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def send(self, items: Sequence[Outgoing], /, *, timeout: float) -> Sequence[Outcome]:
        self.refused += len(items)
        return [NotWritten(TransportError("out of order")) for _ in items]

    def listen(self, group: Group, /) -> AbstractAsyncContextManager[Feed]:
        raise TransportError("out of order")


async def strict() -> None:
    async with Bus(Down(), service="web") as bus:
        try:
            await bus.publish(PageViewed("/"))
            raise AssertionError("it was sent")
        except PublishError as error:  # by default a publisher is told
            print(f"told: {error}")


async def lenient() -> None:
    broker = Down()
    async with Bus(broker, service="web", fail_open=True) as bus:
        await bus.publish(PageViewed("/"))  # waits for the broker, then logs and counts
        bus.emit(PageViewed("/about"))  # neither waits nor raises: a buffer is flushed behind it
        print("both pages were served")
        await bus.drain()
    print(f"the broker refused {broker.refused} events")
    assert broker.refused == 2


anyio.run(strict)
anyio.run(lenient)
