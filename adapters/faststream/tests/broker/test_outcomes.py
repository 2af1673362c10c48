"""How a handler ends, and what the bus makes of it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from faststream import AckPolicy, FastStream
from faststream.exceptions import (
    AckMessage,
    NackMessage,
    RejectMessage,
    SkipMessage,
    StopApplication,
    StopConsume,
)

from busway import Backoff, OptionError, Reject, Retry, RetryLater
from busway_faststream import MessageDep
from tests.facts import PATIENCE, Seen, letters, quick

from .started import broker_on, started

__all__: list[str] = []

pytestmark = pytest.mark.anyio


class Boom(Exception):
    """What the handlers here raise."""


async def ended(raised: Any, **options: Any) -> tuple[int, list[Any]]:
    """How often a handler was called that raises this, and its dead letters."""
    seen, broker = Seen(), broker_on()

    @broker.subscriber("order.*", group="billing", retry=quick(3), **options)
    async def handle(event: Any) -> None:
        seen.add(event)
        raise raised

    async with started(broker):
        await broker.publish(1, "order.placed")
        await broker.bus.drain(timeout=5)
        return len(seen.items), list(await broker.bus.dead_letters("billing").list())


@pytest.mark.parametrize(
    ("raised", "calls", "dead"),
    [
        (Boom("no"), 3, 1),
        (AckMessage(), 1, 0),
        (SkipMessage(), 1, 0),
        (NackMessage(), 3, 1),
        (NackMessage(after=0.001), 3, 1),
        (RejectMessage(), 1, 1),
        (Reject("never"), 1, 1),
        (RetryLater(0.001), 3, 1),
    ],
    ids=repr,
)
async def test_what_is_raised_is_what_becomes_of_the_event(
    raised: Exception, calls: int, dead: int
) -> None:
    called, letters_ = await ended(raised)
    assert (called, len(letters_)) == (calls, dead)


@pytest.mark.parametrize(
    ("policy", "calls", "dead"),
    [
        (AckPolicy.NACK_ON_ERROR, 3, 1),
        (AckPolicy.REJECT_ON_ERROR, 1, 1),
        (AckPolicy.ACK, 1, 0),
        (AckPolicy.MANUAL, 3, 1),
    ],
)
async def test_an_ack_policy_says_what_an_error_means(
    policy: AckPolicy, calls: int, dead: int
) -> None:
    called, letters_ = await ended(Boom("no"), ack_policy=policy)
    assert (called, len(letters_)) == (calls, dead)


async def test_the_brokers_policy_holds_for_subscribers_without_one() -> None:
    seen, broker = Seen(), broker_on(ack_policy=AckPolicy.ACK)

    @broker.subscriber("order.*", group="billing", retry=quick())
    async def handle(event: Any) -> None:
        seen.add(event)
        raise Boom

    async with started(broker):
        await broker.publish(1, "order.placed")
    assert seen.items == [1]


async def test_acknowledging_first_is_refused() -> None:
    broker = broker_on()

    @broker.subscriber("order.*", ack_policy=AckPolicy.ACK_FIRST)
    async def handle(event: Any) -> None: ...

    with pytest.raises(OptionError, match="acknowledges last"):
        await broker.start()


@pytest.mark.parametrize(
    ("say", "then", "calls", "dead"),
    [
        ("ack", None, 1, 0),
        ("ack", Boom("late"), 1, 0),
        ("nack", None, 3, 1),
        ("reject", None, 1, 1),
        ("reject", Boom("late"), 1, 1),
        (None, None, 3, 1),
    ],
)
async def test_a_handler_says_by_hand_what_shall_become_of_an_event(
    say: str | None, then: Exception | None, calls: int, dead: int
) -> None:
    seen, broker = Seen(), broker_on()

    @broker.subscriber("order.*", group="billing", retry=quick(3), ack_policy=AckPolicy.MANUAL)
    async def handle(event: Any, message: MessageDep) -> None:
        seen.add(event)
        if say is not None:
            await getattr(message, say)()
        if then is not None:
            raise then

    async with started(broker):
        await broker.publish(1, "order.placed")
        await broker.bus.drain(timeout=5)
        await letters(broker.bus, "billing", dead)
    assert len(seen.items) == calls


async def test_a_nack_is_tried_again_whatever_the_policy_finds_worth_it() -> None:
    seen, broker = Seen(), broker_on()

    @broker.subscriber("order.*", group="billing", retry=quick(3, on=(ConnectionError,)))
    async def handle(event: Any) -> None:
        seen.add(event)
        raise NackMessage

    async with started(broker):
        await broker.publish(1, "order.placed")
        await letters(broker.bus, "billing", 1)
    assert len(seen.items) == 3


async def test_a_nack_that_says_when_is_tried_again_then() -> None:
    """And not when the policy would have it, which is in an hour."""
    seen, broker = Seen(), broker_on()
    late = Retry(attempts=3, backoff=Backoff(3600, cap=3600, jitter="none"))

    @broker.subscriber("order.*", group="billing", retry=late)
    async def handle(event: Any) -> None:
        seen.add(event)
        raise NackMessage(after=0.001)

    async with started(broker):
        await broker.publish(1, "order.placed")
        await letters(broker.bus, "billing", 1)
    assert len(seen.items) == 3


async def test_a_handler_that_fails_once_succeeds_later_in_order() -> None:
    seen, broker = Seen(), broker_on()

    @broker.subscriber("order.*", retry=quick())
    async def handle(event: int, message: MessageDep) -> None:
        if event == 0 and message.raw_message.attempt == 1:
            raise Boom
        seen.add((event, message.raw_message.attempt))

    async with started(broker):
        for number in range(3):
            await broker.publish(number, "order.placed", key="o-1")
    assert seen.items == [(0, 2), (1, 1), (2, 1)]


async def test_stop_consume_takes_the_subscriber_back_and_the_event_is_done() -> None:
    seen, broker = Seen(), broker_on()

    @broker.subscriber("order.*", group="billing")
    async def handle(event: Any) -> None:
        seen.add(event)
        raise StopConsume

    async with started(broker):
        await broker.publish(1, "order.placed")
        while any(each.members for each in await broker.bus.groups()):
            await anyio.sleep(0.001)
        await broker.publish(2, "order.placed")
        assert await broker.bus.dead_letters("billing").list() == []
        await broker.bus.remove_group("billing")
    assert seen.items == [1]


@pytest.mark.parametrize("raised", [StopApplication(), SystemExit(3)], ids=repr)
async def test_a_handler_can_end_its_app(raised: BaseException) -> None:
    broker = broker_on(graceful_timeout=5)
    app = FastStream(broker, logger=None)

    @broker.subscriber("order.*", group="billing", retry=quick(1))
    async def handle(event: Any) -> None:
        raise raised

    @app.after_startup
    async def publish() -> None:
        await broker.publish(1, "order.placed")

    with anyio.fail_after(PATIENCE):
        await app.run()


@pytest.mark.parametrize("raised", [StopApplication(), SystemExit(3)], ids=repr)
@pytest.mark.parametrize(("say", "dead"), [("ack", 0), ("nack", 1), ("reject", 1)])
async def test_what_was_said_of_an_event_holds_when_its_handler_ends_the_app(
    say: str, dead: int, raised: BaseException
) -> None:
    broker = broker_on()

    @broker.subscriber("order.*", group="billing", retry=quick(1))
    async def handle(event: Any, message: MessageDep) -> None:
        await getattr(message, say)()
        raise raised

    async with started(broker):
        await broker.publish(1, "order.placed")
        await broker.bus.drain(timeout=5)
        assert len(await broker.bus.dead_letters("billing").list()) == dead
