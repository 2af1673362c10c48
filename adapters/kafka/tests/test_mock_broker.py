"""What holds on librdkafka's mock broker, too: where there is no Kafka, it is all that is tested.

It runs on every machine, so that it works where it is needed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from busway import Bus, PublishError
from tests.servers._kafka_mock import MockKafka

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 30.0
OPTIONS = "prefix=shop.&create=never&lease=6s&timeout=1900ms"


@asynccontextmanager
async def reading(url: str, found: list[int], so_many: int) -> AsyncGenerator[Bus]:
    """A bus that has handled so many when the block is left."""
    bus, handled = Bus(f"{url}?{OPTIONS}", service="shop"), anyio.Event()

    @bus.subscribe("order.placed", group="billing", concurrency=4)
    async def bill(number: int) -> None:
        found.append(number)
        if len(found) == so_many:
            handled.set()

    with anyio.fail_after(PATIENCE):
        async with bus:
            yield bus
            await handled.wait()


async def test_a_group_goes_on_where_it_was_and_each_key_keeps_its_order() -> None:
    found: list[int] = []
    with MockKafka("shop.order", "shop.__busway") as broker:
        async with reading(broker.url, found, 20) as bus:
            for number in range(20):
                await bus.publish("order.placed", number, key=f"k{number % 2}")
        async with reading(broker.url, found, 21) as bus:
            await bus.publish("order.placed", 20, key="k0")
    assert [n for n in found if n % 2] == list(range(1, 20, 2))
    assert [n for n in found if not n % 2] == list(range(0, 21, 2))


async def test_a_topic_that_is_missing_is_named_with_what_makes_it() -> None:
    with MockKafka("shop.__busway") as broker:
        async with Bus(f"{broker.url}?{OPTIONS}", service="shop") as bus:
            with pytest.raises(PublishError, match=r"'shop\.order' is missing.*kafka-topics\.sh"):
                await bus.publish("order.placed", 1)
