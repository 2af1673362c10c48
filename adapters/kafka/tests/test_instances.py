"""A process with a name of its own (``?instance=``) that comes back is dealt what there is now."""

from __future__ import annotations

import time
import uuid
from typing import Any

import anyio
import pytest

from busway import Bus, Message
from busway_kafka import KafkaTransport, open_kafka

from .test_growing import grown
from .test_membership import events_of, key_of, opened, until

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 40.0
LEASE = 6.0


@pytest.fixture
def prefix() -> str:
    return f"t{uuid.uuid4().hex[:8]}."


def member(
    url: str, prefix: str, handle: Any, *patterns: str, **own: Any
) -> tuple[KafkaTransport, Bus]:
    transport = opened(url, prefix, **({"instance": "a", "partitions": 4, "lease": LEASE} | own))
    bus = Bus(transport, service="shop")
    bus.add(handle, *(patterns or ("order.*",)), group="billing", concurrency=8)
    return transport, bus


async def test_a_subscription_that_is_new_after_a_restart_is_read(
    kafka_url: str, prefix: str
) -> None:
    seen: list[str] = []

    async def note(data: str) -> None:
        seen.append(data)

    with anyio.fail_after(PATIENCE):
        async with Bus(opened(kafka_url, prefix), service="other", publish_only=True) as other:
            await other.publish("order.placed", "an order", key="k")
            await other.publish("invoice.made", "an invoice", key="k")
            _, bus = member(kafka_url, prefix, note)
            async with bus:
                await until(lambda: seen == ["an order"])
            _, bus = member(kafka_url, prefix, note, "order.*", "invoice.*")
            async with bus:
                await until(lambda: seen == ["an order", "an invoice"])


async def test_partitions_that_were_added_during_a_restart_are_read(
    kafka_url: str, prefix: str
) -> None:
    seen: list[int] = []

    async def note(data: int) -> None:
        seen.append(data)

    with anyio.fail_after(PATIENCE):
        _, bus = member(kafka_url, prefix, note)
        async with bus:
            await bus.publish("order.placed", 0, key="k")
            await until(lambda: seen == [0])
        async with opened(kafka_url, prefix) as operator:
            await grown(operator, f"{prefix}order", 8)
        transport, bus = member(kafka_url, prefix, note)
        async with bus:
            await until(lambda: transport.client.partitions(f"{prefix}order") == 8)
            for number in range(8):
                await bus.publish("order.placed", 10 + number, key=key_of(number, 8))
            await until(lambda: len(seen) == 9)
            assert events_of(transport) == set(range(8))


async def test_who_was_killed_amid_a_hand_over_leaves_no_partition_to_nobody(
    kafka_url: str, prefix: str
) -> None:
    go_on, begun = anyio.Event(), set[int]()

    async def stall(order: int) -> None:
        begun.add(order)
        await go_on.wait()

    async def note(order: int) -> None: ...

    with anyio.fail_after(PATIENCE):
        killed, bus = member(kafka_url, prefix, stall)
        await bus.start()
        for number in range(4):
            await bus.publish("order.placed", number, key=key_of(number, 4))
        await until(lambda: len(begun) == 4)
        there, other = member(kafka_url, prefix, note, instance="b")
        async with other:
            (feed,) = killed.feeds
            await until(lambda: any(t.leaving for t in feed.holdings.tenures.values()))
            await feed.die()
            again, bus_again = member(kafka_url, prefix, note)
            async with bus_again:
                await until(lambda: events_of(again) | events_of(there) == {0, 1, 2, 3})
        go_on.set()
        await bus.stop()


async def test_fences_grow_with_each_restart(kafka_url: str, prefix: str) -> None:
    fences: list[int | None] = []

    async def note(order: int, message: Message[int]) -> None:
        fences.append(message.fence)

    with anyio.fail_after(PATIENCE):
        for number in range(3):
            _, bus = member(kafka_url, prefix, note, partitions=1)
            async with bus:
                await bus.publish("order.placed", number, key="k")
                await until(lambda: len(fences) > number)  # noqa: B023
    numbers = [fence for fence in fences if fence is not None]
    assert len(numbers) == 3
    assert numbers == sorted(set(numbers))


async def test_who_comes_back_while_another_name_is_away_waits_for_it_for_a_lease_at_most(
    kafka_url: str, prefix: str
) -> None:
    """Kafka deals nothing out before it has heard of all."""
    seen: list[int] = []

    async def note(order: int) -> None:
        seen.append(order)

    with anyio.fail_after(PATIENCE):
        here, bus = member(kafka_url, prefix, note)
        there, other = member(kafka_url, prefix, note, instance="b")
        async with bus, other:
            await bus.publish("order.placed", 0)
            await until(lambda: len(events_of(here)) == len(events_of(there)) == 2)
            mine = min(events_of(here))
        began = time.monotonic()
        _, bus = member(kafka_url, prefix, note)
        async with bus:
            await bus.publish("order.placed", 1, key=key_of(mine, 4))
            await until(lambda: 1 in seen)
    assert time.monotonic() - began < LEASE + 4.0


@pytest.mark.parametrize("own", [{}, {"instance": "a"}], ids=["no name", "a name"])
async def test_replies_leave_no_topic_behind(
    kafka_url: str, prefix: str, own: dict[str, str]
) -> None:
    """A group that does not last is removed when its last member leaves, whoever that was."""

    async def charge(order: int) -> int:
        return order

    with anyio.fail_after(PATIENCE):
        bus = Bus(opened(kafka_url, prefix, partitions=1, **own), service="shop")
        bus.add(charge, "order.*", group="billing")
        async with bus:
            assert await bus.request("order.placed", 1, timeout=15) == 1
        async with open_kafka(kafka_url, prefix="looking.") as looking:
            await looking.client.refresh()
            left = [each for each in looking.client.leaders if each.startswith(prefix)]
    assert not [each for each in left if each.endswith(".reply")]
