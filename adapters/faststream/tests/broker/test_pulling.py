"""Subscribers without a handler: events that are asked for."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from faststream.exceptions import SetupError

from busway import Batch, Bus, OptionError
from busway_faststream import BusBroker
from tests.facts import PATIENCE, letters, quick

from .started import broker_on, started

__all__: list[str] = []

pytestmark = pytest.mark.anyio


async def test_one_event_is_asked_for() -> None:
    broker = broker_on()
    subscriber = broker.subscriber("order.{kind}", group="billing")
    async with started(broker):
        await broker.publish({"a": 1}, "order.placed")
        message = await subscriber.get_one(timeout=PATIENCE)
        assert message is not None
        assert await message.decode() == {"a": 1}
        assert message.path == {"kind": "placed"}
        await message.ack()
        assert await subscriber.get_one(timeout=0.01) is None


async def test_events_are_iterated_over() -> None:
    broker, found = broker_on(), list[Any]()
    subscriber = broker.subscriber("order.*", group="billing")
    async with started(broker):
        await broker.publish_batch(1, 2, 3, topic="order.placed")
        with anyio.fail_after(PATIENCE):
            async for message in subscriber:
                found.append(await message.decode())
                if len(found) == 3:
                    break
        await subscriber.stop()
    assert found == [1, 2, 3]


async def test_what_was_rejected_is_set_aside() -> None:
    broker = broker_on()
    subscriber = broker.subscriber("order.*", group="billing")
    async with started(broker):
        await broker.publish(1, "order.placed")
        message = await subscriber.get_one(timeout=PATIENCE)
        assert message is not None
        await message.reject()
        await letters(broker.bus, "billing", 1)


async def test_without_a_group_each_gets_every_event() -> None:
    broker = broker_on()
    both = [broker.subscriber("order.*"), broker.subscriber("order.*")]
    async with started(broker):
        # Nothing is kept for a process that is gone.
        assert [each.broadcast for each in broker.bus.topology().handlers] == [True, True]
        await broker.publish(1, "order.placed")
        for each in both:
            message = await each.get_one(timeout=PATIENCE)
            assert message is not None
            await message.ack()


async def test_what_was_nacked_comes_again() -> None:
    broker = broker_on()
    subscriber = broker.subscriber("order.*", group="billing", retry=quick())
    async with started(broker):
        await broker.publish(1, "order.placed")
        for attempt in (1, 2):
            message = await subscriber.get_one(timeout=PATIENCE)
            assert message is not None
            assert message.raw_message.attempt == attempt
            await (message.nack() if attempt == 1 else message.ack())


async def test_what_nobody_acknowledged_goes_to_another_with_no_attempt_used() -> None:
    bus = Bus("memory://", service="shop")
    broker = BusBroker(bus, logger=None)
    one = broker.subscriber("order.*", group="billing")
    async with bus, started(broker):
        await broker.publish(1, "order.placed")
        assert await one.get_one(timeout=PATIENCE) is not None
        await one.stop()
        other = broker.subscriber("order.*", group="billing")
        message = await other.get_one(timeout=PATIENCE)
        assert message is not None
        assert message.raw_message.attempt == 1
        await message.ack()


async def test_a_stop_does_not_wait_for_an_acknowledgement() -> None:
    broker = broker_on(graceful_timeout=60)
    subscriber = broker.subscriber("order.*", group="billing")
    with anyio.fail_after(PATIENCE):
        await broker.start()
        await broker.publish(1, "order.placed")
        assert await subscriber.get_one(timeout=PATIENCE) is not None
        await broker.stop()


async def test_a_subscriber_with_a_handler_cannot_be_asked() -> None:
    broker = broker_on()
    subscriber = broker.subscriber("order.*")

    @subscriber
    async def handle(event: Any) -> None: ...

    with pytest.raises(SetupError, match="without a handler"):
        await subscriber.get_one()


@pytest.mark.parametrize("option", [{"concurrency": 2}, {"timeout": 1.0}, {"batch": Batch(10)}])
async def test_who_asks_for_one_event_after_another_takes_no_more_at_once(
    option: dict[str, Any],
) -> None:
    broker = broker_on()
    broker.subscriber("order.*", group="billing", **option)
    with pytest.raises(OptionError, match=f"it takes no {next(iter(option))}="):
        async with started(broker):
            pass
