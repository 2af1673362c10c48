"""What somebody reads who has just begun, and made a mistake."""

from __future__ import annotations

import uuid

import anyio
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from busway import Bus, BuswayError, PublishError
from busway_kafka import open_kafka
from tests.servers._ports import free_port

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 20.0


async def refused(url: str) -> str:
    """What a bus says that cannot be started."""
    with anyio.fail_after(PATIENCE):
        with pytest.raises(BuswayError) as error:
            await Bus(url, service="shop").start()
    return str(error.value)


async def test_a_broker_that_is_not_there_is_told_with_its_place() -> None:
    port = free_port()
    said = await refused(f"kafka://127.0.0.1:{port}?timeout=2s")
    assert f"Kafka at 127.0.0.1:{port} cannot be reached" in said


async def test_of_several_brokers_that_are_not_there_all_are_told() -> None:
    one, two = free_port(), free_port()
    said = await refused(f"kafka://127.0.0.1:{one},127.0.0.1:{two}?timeout=2s")
    assert f"none of 127.0.0.1:{one}, 127.0.0.1:{two} answers" in said


async def test_a_name_that_nobody_knows_is_told() -> None:
    assert "nowhere.invalid:9092" in await refused("kafka://nowhere.invalid?timeout=5s")


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("h?partition=4", "known: client_id, compression,.*partitions, prefix"),
        ("h/order", "nothing stands behind the hosts but parameters"),
        ("h:abc", "a port is no number from 1 to 65535"),
        ("user:pw@h", r"kafka\+sasl_ssl:// or kafka\+sasl://"),
        ("h?compression=brotli", "none or gzip or snappy or lz4 or zstd"),
        ("h?lease=2&timeout=1", "less than a third of the lease"),
        ("h?prefix=a/b", "letters, digits"),
    ],
)
def test_a_url_that_is_wrong_says_what_would_be_right(rest: str, why: str) -> None:
    with pytest.raises(BuswayError, match=why) as error:
        open_kafka(f"kafka://{rest}")
    assert "pw" not in str(error.value)


async def test_a_topic_that_may_not_be_made_is_told_with_the_command(kafka_url: str) -> None:
    prefix = f"t{uuid.uuid4().hex[:8]}."
    never = f"{kafka_url}?prefix={prefix}&create=never&partitions=6&replication=1&retention=1d"
    said = await refused(never)
    assert f"--create --topic '{prefix}__busway' --partitions 1" in said
    with anyio.fail_after(PATIENCE):
        async with open_kafka(f"{kafka_url}?prefix={prefix}"):
            pass  # makes what all have to agree on
        async with Bus(never, service="shop", publish_only=True) as bus:
            with pytest.raises(BuswayError) as error:
                await bus.publish("order.placed", 1)
    said = str(error.value)
    assert f"kafka-topics.sh --bootstrap-server {kafka_url[8:].strip('/')}" in said
    assert f"--create --topic '{prefix}order' --partitions 6 --replication-factor 1" in said
    assert "--config retention.ms=86400000" in said


async def test_clocks_that_are_too_far_apart_are_told(kafka_url: str) -> None:
    """Of this machine and the broker: it takes no record that is older than it allows, which here
    is no time at all."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_url[8:].strip("/"))
    strict = {"message.timestamp.before.max.ms": "0"}
    await admin.start()
    try:
        await admin.create_topics([NewTopic(f"{prefix}order", 1, 1, topic_configs=strict)])
    finally:
        await admin.close()
    with anyio.fail_after(PATIENCE):
        async with Bus(f"{kafka_url}?prefix={prefix}", service="shop") as bus:

            async def publish_on() -> None:
                """What arrives within the millisecond in which it was made is let in."""
                while True:
                    await bus.publish("order.placed", 1)

            with pytest.raises(PublishError, match=r"error 32\).*clocks of this machine"):
                await publish_on()


async def test_a_topic_whose_name_leaves_no_room_for_a_groups_ends_no_wildcard_beside_it(
    kafka_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody made it under our prefix. It is said, once, and all others go on."""
    prefix, seen = f"t{uuid.uuid4().hex[:8]}.", list[int]()
    transport = open_kafka(kafka_url, prefix=prefix, metadata_age="100ms")
    bus = Bus(transport, service="shop")

    @bus.subscribe("**", group="shop.charge-everything")
    async def charge(order: int) -> None:
        seen.append(order)

    with anyio.fail_after(PATIENCE):
        async with bus:
            admin = AIOKafkaAdminClient(bootstrap_servers=transport.options.servers[0])
            await admin.start()
            await admin.create_topics([NewTopic(f"{prefix}{'x' * 215}", 1, 1)])
            await admin.close()
            while "cannot be tried again" not in caplog.text:
                await anyio.sleep(0.01)
            await bus.publish("order.placed", 1)
            while not seen:
                await anyio.sleep(0.01)
            assert transport.report()["rebuilt"] == 0
    assert caplog.text.count("cannot be tried again") == 1
