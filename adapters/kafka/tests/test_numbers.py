"""What a process says of how far it is."""

from __future__ import annotations

import uuid

import anyio
import pytest

from busway import Bus
from busway_kafka import KafkaTransport, PartitionState, open_kafka
from tests.servers import KafkaServer

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 30.0


@pytest.fixture
def transport(kafka_url: str) -> KafkaTransport:
    return opened(kafka_url)


def opened(url: str) -> KafkaTransport:
    return open_kafka(url, prefix=f"t{uuid.uuid4().hex[:8]}.", partitions=1, lease="3s")


def events(transport: KafkaTransport) -> PartitionState | None:
    found = [each for each in transport.partitions() if each.topic.endswith(".order")]
    return found[0] if found else None


async def test_one_event_that_is_not_done_shows_as_distance_and_what_waits_as_lag(
    transport: KafkaTransport,
) -> None:
    bus = Bus(transport, service="shop")
    go_on = anyio.Event()
    done: list[int] = []

    @bus.subscribe("order.*", group="billing", concurrency=2)
    async def charge(order: int) -> None:
        if order == 0:
            await go_on.wait()
        done.append(order)

    with anyio.fail_after(PATIENCE):
        async with bus:
            before = transport.report()["rebalances"]
            await bus.publish("order.placed", 0, key="stuck")
            for n in range(1, 31):
                await bus.publish("order.placed", n, key=f"k{n % 3}")
            while len(done) < 30:
                await anyio.sleep(0.01)
            state = events(transport)
            assert state is not None
            assert state.committed == 0
            assert state.distance == 31
            assert (state.group, state.partition, state.in_flight) == ("billing", 0, 1)
            assert transport.report()["distance"] == 31
            assert transport.report()["partitions"] == len(transport.partitions())
            go_on.set()
            await bus.drain()
            while (now := events(transport)) is None or now.committed < 31:
                await anyio.sleep(0.01)
            assert (now.distance, now.lag, now.in_flight) == (0, 0, 0)
            assert now.fence >= 0
            assert transport.report()["commit_age_ms"] == 0
    assert transport.partitions() == []
    assert transport.report()["rebalances"] >= max(1, before), "what was counted is not forgotten"


async def test_lag_is_what_waits_for_a_handler(transport: KafkaTransport) -> None:
    bus = Bus(transport, service="shop")
    go_on = anyio.Event()

    @bus.subscribe("order.*", group="billing")
    async def charge(order: int) -> None:
        await go_on.wait()

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish_many([bus.envelope("order.placed", n, key="k") for n in range(50)])
            while (state := events(transport)) is None or state.lag + state.in_flight < 50:
                await anyio.sleep(0.01)
            assert transport.report()["lag"] == state.lag > 0
            go_on.set()
            await bus.drain()


async def test_a_broker_that_says_nothing_shows_as_ages_that_grow(own_kafka: KafkaServer) -> None:
    transport = opened(own_kafka.url)
    bus = Bus(transport, service="shop")

    @bus.subscribe("order.*", group="billing")
    async def charge(order: int) -> None:
        handled.set()

    with anyio.fail_after(PATIENCE):
        async with bus:
            handled = anyio.Event()
            await bus.publish("order.placed", 1, key="k")
            await handled.wait()
            while transport.report()["poll_age_ms"] > 900:
                await anyio.sleep(0.01)
            await anyio.to_thread.run_sync(own_kafka.pause)
            try:
                while transport.report()["poll_age_ms"] < 1500:
                    await anyio.sleep(0.01)
            finally:
                await anyio.to_thread.run_sync(own_kafka.resume)
            while transport.report()["poll_age_ms"] > 900:
                await anyio.sleep(0.01)
