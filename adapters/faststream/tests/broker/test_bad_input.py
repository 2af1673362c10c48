"""What cannot work says what is wrong and what to do, when it is declared or at the start."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated, Any

import anyio
import pytest
from faststream import Depends

from busway import (
    Bus,
    EventError,
    GroupError,
    HandlerError,
    Message,
    OptionError,
    StateError,
    TopicError,
)
from busway_faststream import BusBroker, BusMessage, BusRouter
from tests.facts import PATIENCE

from ..helping import fresh
from .started import Placed, Struct, broker_on, started

__all__: list[str] = []

pytestmark = pytest.mark.anyio


async def refused(broker: BusBroker, error: type[Exception], match: str) -> None:
    with anyio.fail_after(PATIENCE), pytest.raises(error, match=match):
        await broker.start()
    assert not broker.bus.running
    assert broker.bus.topology().handlers == ()


def handler_named(name: str) -> Any:
    async def handle(event: Any) -> None: ...

    handle.__qualname__ = handle.__name__ = name
    return handle


async def test_two_subscribers_with_one_default_group_are_named_with_their_places() -> None:
    broker = broker_on()
    broker.subscriber("order.*")(handler_named("charge"))
    broker.subscriber("tree.*")(handler_named("charge"))
    await refused(broker, GroupError, r"'shop.charge'.*test_bad_input.*give each a group=")


async def test_so_are_those_of_two_brokers_of_one_service_on_one_server(redis_url: str) -> None:
    one, two = broker_on(redis_url), broker_on(redis_url)
    for broker in (one, two):
        broker.subscriber("order.*")(handler_named("charge"))
    async with started(one):
        await refused(two, GroupError, "'shop.charge'")


async def test_so_are_those_of_two_buses_on_one_transport() -> None:
    bus = Bus("memory://", service="shop")
    one, two = (BusBroker(each, logger=None) for each in (bus, Bus(bus.transport, service="shop")))
    for broker in (one, two):
        broker.subscriber("order.*")(handler_named("charge"))
    async with started(one):
        await refused(two, GroupError, "'shop.charge'")


@pytest.mark.parametrize("first_is_a_bus", [True, False])
async def test_so_are_those_of_a_bus_that_is_on_the_server_of_another(
    first_is_a_bus: bool, redis_url: str
) -> None:
    bus = BusBroker(Bus(redis_url, service="shop"), logger=None)
    other = BusBroker(Bus(redis_url, service="shop")) if first_is_a_bus else broker_on(redis_url)
    for broker in (bus, other):
        broker.subscriber("order.*")(handler_named("charge"))
    async with started(other):
        with anyio.fail_after(PATIENCE), pytest.raises(GroupError, match=r"'shop\.charge'"):
            await bus.start()
        assert not bus.bus.running


async def test_those_of_two_brokers_that_have_nothing_in_common_are_not_compared(
    redis_url: str,
) -> None:
    """Two buses in process; or one server under two prefixes, where the document shows one URL."""
    made: list[Any] = [Bus("memory://", service="shop"), Bus("memory://", service="shop")]
    made += ["memory://", "memory://", "null://", Bus("null://", service="shop")]
    made += [f"{redis_url}?prefix={fresh('p')}" for _ in range(2)]
    brokers = [
        broker_on(each) if isinstance(each, str) else BusBroker(each, logger=None) for each in made
    ]
    for broker in brokers:
        broker.subscriber("order.*")(handler_named("charge"))
    async with AsyncExitStack() as stack:
        for broker in brokers:
            await stack.enter_async_context(started(broker))


async def test_two_brokers_on_one_bus_are_refused() -> None:
    bus = Bus("memory://", service="shop")
    one, two = BusBroker(bus, logger=None), BusBroker(bus, logger=None)
    async with started(one):
        with pytest.raises(StateError, match="two brokers on one Bus"):
            await two.start()
        assert bus.running
    async with started(two):
        pass


class Unknown:
    """Neither pydantic nor msgspec know it."""

    def __init__(self, file: Any) -> None: ...


async def hangs_on_a_name(event: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821


async def test_a_signature_that_cannot_be_resolved_names_the_handler() -> None:
    broker = broker_on()
    broker.subscriber("order.*")(hangs_on_a_name)
    await refused(broker, HandlerError, "hangs_on_a_name.*Missing.*names nothing")


async def two_annotations(
    event: Annotated[Any, Depends(lambda: 1), Depends(lambda: 2)],
) -> None: ...


async def test_so_does_one_that_contradicts_itself() -> None:
    broker = broker_on()
    broker.subscriber("order.*")(two_annotations)
    await refused(broker, HandlerError, "two_annotations.*Depends, Context, Header or Path")


@pytest.mark.parametrize("kind", [BusMessage, Message, Bus, Message | None])
async def test_what_is_no_part_of_an_event_is_told_how_it_is_had(kind: Any) -> None:
    broker = broker_on()

    async def handle(event: Any, other: Any) -> None: ...

    handle.__annotations__ = {"event": dict, "other": kind}
    broker.subscriber("order.*")(handle)
    name = getattr(kind, "__name__", "Message")
    await refused(broker, HandlerError, rf"Annotated\[{name}, Context\(")


async def yields(event: Any) -> Any:
    yield event


def yields_in_a_thread(event: Any) -> Any:
    yield event


class Yields:
    def __call__(self, event: Any) -> Any:
        yield event


@pytest.mark.parametrize("apply_types", [True, False])
@pytest.mark.parametrize(
    "handler",
    [yields, yields_in_a_thread, Yields(), partial(yields)],
    ids=["async", "sync", "object", "partial"],
)
async def test_a_handler_that_yields_would_acknowledge_all_and_handle_nothing(
    handler: Any, apply_types: bool
) -> None:
    broker = broker_on(apply_types=apply_types)
    broker.subscriber("order.*", group="billing")(handler)
    await refused(broker, HandlerError, "[Yy]ields.* is a generator: .*no `yield`")


async def test_a_subscriber_without_a_pattern() -> None:
    broker = broker_on()
    with pytest.raises(HandlerError, match=r'@broker.subscriber\("its.topic"\)'):
        broker.subscriber(handler_named("charge"))


@pytest.mark.parametrize("made", [broker_on, BusRouter, lambda: BusRouter(prefix="shop.")])
def test_what_nothing_can_be_published_on_is_told_where_the_publisher_stands(made: Any) -> None:
    """And not when the handler above has run, of each event."""
    place = made()
    for topic in ("order.*", "", "order.{kind}", "order placed", "order."):
        with pytest.raises(TopicError):
            place.publisher(topic)
    with pytest.raises(EventError, match="@event"):
        place.publisher(Struct)
    with pytest.raises(HandlerError, match=r'@broker.publisher\("its.topic"\)'):
        place.publisher(handler_named("charge"))
    with pytest.raises(OptionError, match="unknown option nonsense="):
        place.publisher("order.placed", nonsense=1)
    with pytest.raises(OptionError, match="key=3"):
        place.publisher(Placed, key=3)
    place.publisher("order.placed", key="o-1", headers={"tier": "gold"}, delay=1)
    assert len(place.publishers) == 1


def test_a_retry_that_is_none() -> None:
    with pytest.raises(OptionError, match=r"retry=5: it takes a Retry\(...\)"):
        broker_on(retry=5)


async def test_options_that_there_are_not_and_cannot_be() -> None:
    broker = broker_on()
    with pytest.raises(OptionError, match="unknown option max_workers="):
        broker.subscriber("order.*", max_workers=2)  # type: ignore[call-arg]
    broker.subscriber("order.*", concurrency=0)(handler_named("charge"))
    await refused(broker, OptionError, "concurrency=0")


async def test_a_class_that_is_not_declared() -> None:
    broker = broker_on()
    broker.subscriber(Struct)(handler_named("charge"))
    await refused(broker, EventError, "@event")
    async with started(broker_on()) as other:
        with pytest.raises(EventError, match="@event"):
            await other.publish(Struct("oak"))


async def test_a_batch_for_a_handler_that_takes_one() -> None:
    from busway import Batch

    broker = broker_on()

    @broker.subscriber("order.*", batch=Batch(2, within=1))
    async def handle(event: Struct) -> None: ...

    await refused(broker, HandlerError, "must be a list")


def test_what_is_no_bus() -> None:
    with pytest.raises(OptionError, match="a URL, such as memory://, or a Bus"):
        BusBroker(3)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="given to the Bus itself"):
        BusBroker(Bus("memory://"), service="shop")
    with pytest.raises(OptionError, match="service="):
        BusBroker("redis://ann:s3cret@one:6379")
