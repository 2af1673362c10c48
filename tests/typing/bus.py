"""What an application's calls take and give."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict, Unpack, assert_type

import msgspec

from busway import (
    Actor,
    Backoff,
    Batch,
    Bus,
    DeadLetter,
    DeadLetters,
    Envelope,
    Message,
    Replayed,
    Retry,
    Stats,
    SubscribeOptions,
    Subscription,
    Supervise,
    Topology,
    event,
    on,
)
from busway.middleware import MemoryStore, timeout
from busway.transport import GroupState

__all__ = ["Billing", "OrderPaid", "OrderPlaced", "OrderShipped", "charge", "plain"]


@event("order.placed", key="order_id", aggregate=("order", "order_id"))
class OrderPlaced(msgspec.Struct, frozen=True):
    order_id: str
    total: float


@event("order.paid", key=lambda paid: paid.order_id, version=2, retry=Retry(attempts=3))
@dataclass(frozen=True)
class OrderPaid:
    order_id: str


@event("order.shipped", channel="parcels")
class OrderShipped(TypedDict):
    order_id: str


event("order.lost", colour="red")  # type: ignore[call-arg]
event(OrderPlaced)  # type: ignore[arg-type]

bus = Bus("memory://", service="shop", validate="warn", retry=Retry(attempts=2))
Bus(validate="maybe")  # type: ignore[arg-type]
Bus("memory://", "shop")  # type: ignore[call-arg]
Bus(42)  # type: ignore[arg-type]


def a_declared_class_stays_what_it_is() -> None:
    assert_type(OrderPlaced("o-1", 1.0), OrderPlaced)
    assert_type(OrderPaid("o-1").order_id, str)
    OrderPlaced("o-1")  # type: ignore[call-arg]


@bus.subscribe("order.*", OrderPaid, group="billing", concurrency=8, order="key")
async def charge(order: OrderPlaced, message: Message[OrderPlaced]) -> int:
    assert_type(message.data, OrderPlaced)
    assert_type(await message.publish(OrderPaid(order.order_id)), Envelope)
    return 1


@bus.subscribe(OrderPlaced, batch=Batch(500, within=0.1), start=datetime.now(UTC))
async def many(orders: list[OrderPlaced]) -> None: ...


@bus.subscribe("**", broadcast=True, middleware=[timeout(1)], dedupe=MemoryStore())
def plain() -> str:
    return "done"


async def a_subscribed_function_stays_what_it_is(
    order: OrderPlaced, message: Message[OrderPlaced]
) -> None:
    assert_type(await charge(order, message), int)
    assert_type(plain(), str)
    await charge(order)  # type: ignore[call-arg]
    bus.subscribe()  # type: ignore[call-arg]
    bus.subscribe("order.*", order="topic")  # type: ignore[arg-type]
    bus.subscribe("order.*", start="yesterday")  # type: ignore[arg-type]
    bus.subscribe("order.*", concurency=2)  # type: ignore[call-arg]


def subscribe_audited(pattern: str, **options: Unpack[SubscribeOptions]) -> None:
    options["group"] = "audit"
    assert_type(bus.add(plain, pattern, **options), Subscription)
    bus.add(plain, pattern, retries=2)  # type: ignore[call-arg]


class Billing(Actor):
    @on("order.placed", OrderPaid)
    async def placed(self, order: OrderPlaced) -> float:
        return order.total


async def an_actor_is_added_and_taken_back(order: OrderPlaced) -> None:
    billing = Billing()
    subscription = bus.add(billing, supervise=Supervise("restart", max_restarts=1))
    assert_type(subscription, Subscription)
    assert_type(await billing.placed(order), float)
    assert_type(subscription.group, str)
    assert_type(subscription.paused, bool)
    subscription.pause()
    subscription.resume()
    await subscription.stop()
    Supervise("forgive")  # type: ignore[arg-type]
    bus.add("order.*")  # type: ignore[arg-type]


async def publishing_gives_envelopes(placed: OrderPlaced) -> None:
    async with bus as entered:
        assert_type(entered, Bus)
        sent = await bus.publish(placed, key="o-1", delay=timedelta(minutes=1))
        assert_type(sent, Envelope)
        assert_type(await bus.publish("order.placed", {"order_id": "o-1"}), Envelope)
        assert_type(await bus.publish(sent), Envelope)
        assert_type(await bus.publish_many([placed, sent, OrderPaid("o-1")]), list[Envelope])
        assert_type(bus.envelope(placed, tenant=None), Envelope)
        assert_type(bus.emit(placed), Envelope | None)
        assert_type(await bus.request(placed, timeout=5.0, user="u-1"), Any)
        assert_type(await bus.request(placed, returns=OrderPaid), OrderPaid)
        assert_type(await bus.request(placed, returns=list[OrderPaid]), list[OrderPaid])
        assert_type(await bus.request(placed, returns=OrderPaid | None), Any)
        assert_type(bus.from_thread.publish(placed), Envelope)
        await bus.publish(placed, keys="o-1")  # type: ignore[call-arg]
        await bus.publish(placed, time=0.0)  # type: ignore[arg-type]
        await bus.publish()  # type: ignore[call-arg]


async def a_bus_tells_about_itself() -> None:
    assert_type(bus.stats(), Stats)
    assert_type(bus.topology(), Topology)
    assert_type(await bus.groups(), Sequence[GroupState])
    assert_type(await bus.remove_group("billing"), bool)
    await bus.rewind("billing", to="latest")
    await bus.rewind("billing", to=datetime.now(UTC))
    await bus.rewind("billing", to="sometime")  # type: ignore[arg-type]
    await bus.rewind("billing", "latest")  # type: ignore[call-arg]
    assert_type(bus.running, bool)
    assert_type(bus.service, str)
    await bus.start(only=["billing", "order.*"])
    await bus.drain(timeout=1.0)
    await bus.stop(grace=1.0)
    await bus.stop(1.0)  # type: ignore[call-arg]


async def dead_letters_are_read_and_sent_again() -> None:
    desk = bus.dead_letters("billing")
    assert_type(desk, DeadLetters)
    assert_type(await desk.get("1"), DeadLetter | None)
    assert_type(await desk.discard("1"), int)
    letters: AsyncIterator[DeadLetter] = aiter(desk)
    async for letter in letters:
        assert_type(letter.envelope, Envelope | None)
        assert_type(letter.attempts, int)
        assert_type(await desk.replay(letter.id), Replayed)


def a_policy_is_checked() -> None:
    Retry(
        attempts=5,
        backoff=Backoff(first=0.1, factor=2.0, cap=60.0, jitter="full"),
        on=(OSError,),
        give_up_on=(ValueError,),
        within=timedelta(hours=1),
        in_place=1.0,
    )
    Backoff(jitter="half")  # type: ignore[arg-type]
    Retry(on=("OSError",))  # type: ignore[arg-type]
