"""A member comes and goes, whatever became of the others."""

from __future__ import annotations

import asyncio
import uuid

import anyio
import pytest

from busway.transport import Address, Group
from busway_kafka._client import Client
from busway_kafka._feed import KafkaFeed
from busway_kafka._transport import KafkaTransport
from busway_kafka._url import parse

from .kafka_world import world

__all__: list[str] = []

pytestmark = pytest.mark.anyio

GROUP = Group("billing", ("order",), lambda _: True, frozenset({"order"}))


async def test_who_joins_while_a_dead_one_is_still_a_member_waits_for_its_lease_and_raises_nothing(
    kafka_url: str,
) -> None:
    prefix = f"t{uuid.uuid4().hex[:10]}."
    options = parse(kafka_url, prefix=prefix, partitions="1", lease="3s", timeout="900ms")
    async with world(kafka_url, prefix, partitions="1") as here:
        await here.send(Address("order"), "one")
        async with KafkaTransport(options) as dead, dead.listen(GROUP) as feed:
            assert isinstance(feed, KafkaFeed)
            await feed.receive(1)
            await feed.die()
            async with KafkaTransport(options) as living:
                with anyio.fail_after(options.timeout + 1):
                    listening = living.listen(GROUP)
                    second = await listening.__aenter__()
                try:
                    with anyio.fail_after(20):
                        (delivery,) = await second.receive(1)
                        await second.ack([delivery])
                finally:
                    await listening.__aexit__(None, None, None)


async def test_a_channel_of_which_who_deals_out_hears_last_is_dealt_out_when_it_has_heard(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = f"t{uuid.uuid4().hex[:10]}."
    options = parse(kafka_url, prefix=prefix, partitions="1", metadata_age="200ms")
    refresh, asked = Client.refresh, 0

    async def hears_late(self: Client) -> None:
        nonlocal asked
        await refresh(self)
        task = asyncio.current_task()
        if task is not None and "Membership" in str(task.get_coro()) and asked < 4:
            asked += 1
            for topic in [each for each in self.leaders if each.startswith(f"{prefix}order")]:
                del self.leaders[topic]

    async with world(kafka_url, prefix, partitions="1") as here:
        await here.send(Address("order"), "one")
        monkeypatch.setattr(Client, "refresh", hears_late)
        async with KafkaTransport(options) as transport, transport.listen(GROUP) as feed:
            with anyio.fail_after(10):
                (delivery,) = await feed.receive(1)
            await feed.ack([delivery])
    assert asked == 4
