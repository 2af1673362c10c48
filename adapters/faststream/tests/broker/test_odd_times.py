"""What happens around a handler at odd times: while the documentation is looked at, while the
broker starts, after the handler has returned."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from faststream import AckPolicy, FastStream
from faststream.exceptions import NackMessage, StopConsume

from busway import OptionError, Retry
from busway_faststream import MessageDep
from tests.facts import PATIENCE, Seen, letters, quick

from .started import broker_on, started

__all__: list[str] = []

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("policy", [AckPolicy.NACK_ON_ERROR, AckPolicy.MANUAL])
async def test_a_look_at_the_documentation_changes_nothing_of_what_is_acknowledged(
    policy: AckPolicy,
) -> None:
    seen, broker = Seen(), broker_on()
    app = FastStream(broker, logger=None)

    @broker.subscriber("order.*", group="billing", retry=quick(2), ack_policy=policy)
    async def handle(event: str, message: MessageDep) -> None:
        seen.add(event)
        await (message.reject() if event == "bad" else message.ack())

    async with started(broker):
        app.schema.to_specification()
        await broker.publish("good", "order.placed")
        await broker.publish("bad", "order.placed")
        (letter,) = await letters(broker.bus, "billing", 1)
    assert seen.items == ["good", "bad"]
    assert letter.attempts == 1


async def test_what_comes_while_the_broker_starts_is_handled_at_its_first_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, broker = Seen(), broker_on(retry=Retry(attempts=1))
    start = broker.bus.start

    async def start_and_receive() -> None:
        await start()
        await broker.bus.publish("order.placed", 1)
        await broker.bus.drain(timeout=5)

    monkeypatch.setattr(broker.bus, "start", start_and_receive)

    @broker.subscriber("order.*", group="billing")
    @broker.publisher("noted.order")
    async def handle(event: int) -> int:
        seen.add(event)
        return event

    async with started(broker):
        assert list(await broker.bus.dead_letters("billing").list()) == []
    assert seen.items == [1]


async def test_what_is_said_after_the_handler_has_returned_is_of_no_event_any_more() -> None:
    broker = broker_on()
    kept: list[Any] = []

    @broker.subscriber("order.*", group="billing", retry=quick(1))
    async def handle(event: int, message: MessageDep) -> None:
        kept.append(message)
        raise ConnectionError

    async with started(broker):
        for number in range(3):
            await broker.publish(number, "order.placed")
            await letters(broker.bus, "billing", number + 1)
            await kept.pop().ack()
        (subscriber,) = broker.subscribers
        assert subscriber.delivering._said == {}


async def test_who_puts_an_event_back_and_stops_is_stopped() -> None:
    seen, broker = Seen(), broker_on()

    @broker.subscriber("order.*", group="billing", retry=quick(5))
    async def handle(event: int, message: MessageDep) -> None:
        seen.add(event)
        await message.nack()
        raise StopConsume

    with anyio.fail_after(PATIENCE):
        await broker.start()
        try:
            await broker.publish(1, "order.placed")
            (subscriber,) = broker.subscribers
            while subscriber.running:
                await anyio.sleep(0.01)
        finally:
            await broker.stop()
    assert seen.items == [1]


async def test_what_is_put_back_is_tried_again_whatever_the_brokers_policy_names() -> None:
    seen, broker = (
        Seen(),
        broker_on(retry=Retry(attempts=3, on=(ConnectionError,), backoff=quick(3).backoff)),
    )

    @broker.subscriber("order.*", group="billing")
    async def handle(event: int) -> None:
        seen.add(event)
        raise NackMessage

    async with started(broker):
        await broker.publish(1, "order.placed")
        await letters(broker.bus, "billing", 1)
    assert seen.items == [1, 1, 1]


@pytest.mark.parametrize("option", [{"delay": 1.0}, {"id": "one"}, {"idempotency_key": "one"}])
async def test_what_is_said_of_one_event_is_not_said_of_a_batch(option: dict[str, Any]) -> None:
    async with started(broker_on()) as broker:
        with pytest.raises(OptionError, match="publish each by itself"):
            await broker.publish_batch(1, 2, topic="order.placed", **option)


async def test_a_broker_does_not_run_when_its_stop_ran_out_of_grace() -> None:
    broker = broker_on(graceful_timeout=0)

    @broker.subscriber("order.*", group="billing")
    async def handle(event: int) -> None: ...

    with anyio.fail_after(PATIENCE):
        await broker.start()
        await broker.stop()
    assert not broker.running
