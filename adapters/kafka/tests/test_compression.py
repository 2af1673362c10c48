"""Whatever it is compressed with, it arrives; what is too large does not leave."""

from __future__ import annotations

import struct
import uuid
from typing import Any

import anyio
import pytest
from aiokafka import AIOKafkaConsumer

from busway import Bus, TooLarge
from busway_kafka import open_kafka
from busway_kafka._options import COMPRESSIONS
from busway_kafka._writing import Writer

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 30.0
TEXT = "the same again and " * 200


def codec_of(data: bytes) -> str:
    """What a batch of records says of itself (Kafka's record batch, version 2)."""
    (attributes,) = struct.unpack_from(">h", data, 21)
    return COMPRESSIONS[attributes & 7]


@pytest.mark.parametrize("codec", COMPRESSIONS)
async def test_what_is_compressed_arrives_as_it_was_here_and_at_others(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    prefix = f"t{uuid.uuid4().hex[:8]}."
    transport = open_kafka(f"{kafka_url}?prefix={prefix}&compression={codec}&partitions=1")
    sent: list[bytes] = []
    real = Writer.exchange

    async def exchange(self: Writer, node: int, batches: Any) -> bool:
        sent.extend(batch.data() for partition, batch in batches if "order" in partition.topic)
        return await real(self, node, batches)

    monkeypatch.setattr(Writer, "exchange", exchange)
    bus = Bus(transport, service="shop")
    seen: list[str] = []

    @bus.subscribe("order.*", group="billing")
    async def charge(order: dict[str, str]) -> None:
        seen.append(order["text"])

    with anyio.fail_after(PATIENCE):
        async with bus:
            for n in range(10):
                await bus.publish("order.placed", {"text": f"{n} {TEXT}"}, key="k")
            while len(seen) < 10:
                await anyio.sleep(0.01)
    assert seen == [f"{n} {TEXT}" for n in range(10)]
    assert {codec_of(data) for data in sent} == {codec}
    assert (max(map(len, sent)) < 1_000) == (codec != "none"), "it is smaller for it"
    consumer = AIOKafkaConsumer(
        f"{prefix}order",
        bootstrap_servers=transport.options.servers[0],
        auto_offset_reset="earliest",
    )
    with anyio.fail_after(PATIENCE):
        async with consumer:
            record = await consumer.getone()
    assert TEXT.encode() in record.value


@pytest.mark.parametrize("codec", ["none", "zstd"])
async def test_what_is_too_large_is_refused_before_it_is_sent_and_holds_up_nothing(
    kafka_url: str, codec: str
) -> None:
    prefix = f"t{uuid.uuid4().hex[:8]}."
    url = f"{kafka_url}?prefix={prefix}&max_size=10000&compression={codec}"
    transport = open_kafka(url)
    with anyio.fail_after(PATIENCE):
        async with Bus(transport, service="shop", publish_only=True) as bus:
            await bus.publish("order.placed", 1, key="k")
            asked: list[object] = []
            real = transport.client.ask

            async def ask(node: int | None, request: Any, **named: Any) -> Any:
                asked.append(request)
                return await real(node, request, **named)

            transport.client.ask = ask  # type: ignore[method-assign]
            with pytest.raises(TooLarge) as refused:
                await bus.publish("order.placed", "x" * 20_000, key="k")
            assert asked == []
            assert "max_size=10,000" in str(refused.value)
            await bus.publish("order.placed", 2, key="k")
