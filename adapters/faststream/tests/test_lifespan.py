"""The bus in the life of a FastStream app."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
import pytest
from faststream import Context, ContextRepo, FastStream, TestApp
from faststream.asgi import AsgiFastStream
from faststream.redis import RedisBroker, TestRedisBroker

from busway import Bus, StateError
from busway_faststream import BusDep, BusMiddleware, MirrorToBus
from tests.facts import PATIENCE, Seen, noting

from .helping import eventually, fresh, stream

pytestmark = pytest.mark.anyio


def as_asgi(*brokers: Any, **options: Any) -> AsgiFastStream:
    return FastStream(*brokers, **options).as_asgi()


APPS = [FastStream, AsgiFastStream, as_asgi]


@pytest.fixture(params=APPS, ids=lambda app: app.__name__)
def make_app(request: pytest.FixtureRequest) -> Callable[..., Any]:
    made: Callable[..., Any] = request.param
    return made


async def test_the_bus_runs_while_the_app_does_and_handlers_get_it(
    make_app: Callable[..., Any], redis_url: str
) -> None:
    bus, seen, name = Bus(service="shop"), Seen(), fresh("orders")
    bus.add(noting(seen), "order.*")
    broker = RedisBroker(redis_url, logger=None)
    found: list[Bus] = []

    @broker.subscriber(stream=stream(name))
    async def by_name(order: dict[str, str], bus: Annotated[Bus, Context("bus")]) -> None:
        await bus.publish("order.placed", order)

    @broker.subscriber(stream=stream(name, "other"))
    async def by_dependency(order: dict[str, str], bus: BusDep) -> None:
        found.append(bus)

    async with TestApp(make_app(broker, lifespan=bus.lifespan)):
        assert bus.running
        await broker.publish({"id": "o-1"}, stream=name)
        await eventually(lambda: seen.items and found)
    assert not bus.running
    assert seen.items == [{"id": "o-1"}]
    assert found == [bus]


async def test_an_app_under_test_brokers_has_the_bus() -> None:
    bus, seen = Bus(), Seen()
    bus.add(noting(seen), "order.*")
    broker = RedisBroker(logger=None)

    @broker.subscriber("orders")
    async def handle(order: dict[str, str], bus: BusDep) -> None:
        await bus.publish("order.placed", order)

    app = FastStream(broker, lifespan=bus.lifespan)
    for _ in range(2):
        async with TestRedisBroker(broker), TestApp(app):
            await broker.publish({"id": "o-1"}, "orders")
        assert not bus.running
    assert seen.items == [{"id": "o-1"}] * 2


def test_a_plain_test_has_the_bus_too(redis_url: str) -> None:
    """``with TestApp(app)`` runs it in a thread."""
    bus, seen = Bus(), Seen()
    bus.add(noting(seen), "order.*")
    with TestApp(FastStream(RedisBroker(redis_url, logger=None), lifespan=bus.lifespan)):
        assert bus.running
        bus.from_thread.publish("order.placed", 1)
    assert not bus.running
    assert seen.items == [1]


@pytest.mark.parametrize("drains", ["on_shutdown", "after_shutdown"])
async def test_hooks_start_and_stop_the_bus(drains: str, redis_url: str) -> None:
    bus, seen, name = Bus(), Seen(), fresh("orders")
    bus.add(noting(seen), "order.*")
    broker = RedisBroker(redis_url, logger=None)

    @broker.subscriber(stream=stream(name))
    async def handle(order: dict[str, str], bus: BusDep) -> None:
        await bus.publish("order.placed", order)

    hooks: dict[str, Any] = {"on_startup": [bus.start], drains: [bus.stop]}
    app = FastStream(broker, context=ContextRepo({"bus": bus}), **hooks)
    async with TestApp(app):
        assert bus.running
        await broker.publish({"id": "o-1"}, stream=name)
        await eventually(lambda: seen.items)
    assert not bus.running


async def test_a_lifespan_of_ones_own_gives_the_bus_its_context(redis_url: str) -> None:
    bus, broker, name = Bus(), RedisBroker(redis_url, logger=None), fresh("orders")
    found: list[Bus] = []

    @broker.subscriber(stream=stream(name))
    async def handle(order: dict[str, str], bus: BusDep) -> None:
        found.append(bus)

    @asynccontextmanager
    async def lifespan(context: ContextRepo) -> AsyncGenerator[None]:
        async with bus.lifespan(context=context):
            yield

    async with TestApp(FastStream(broker, lifespan=lifespan)):
        await broker.publish({"id": "o-1"}, stream=name)
        await eventually(lambda: found)
    assert found == [bus]


async def test_without_what_embeds_it_the_bus_runs_and_stops_with_the_app(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where ``busway-faststream`` is not installed."""
    monkeypatch.setattr("importlib.metadata.entry_points", lambda *, group: [])
    bus, broker = Bus(), RedisBroker(logger=None)
    app = FastStream(broker, lifespan=bus.lifespan)
    async with TestRedisBroker(broker), TestApp(app, run_extra_options={"env": "prod"}):
        assert bus.running
    assert not bus.running


async def test_options_of_the_command_line_do_not_disturb_the_bus() -> None:
    bus, broker = Bus(), RedisBroker(logger=None)
    app = FastStream(broker, lifespan=bus.lifespan)
    async with TestRedisBroker(broker), TestApp(app, run_extra_options={"env": "prod"}):
        assert bus.running


# --- drained ----------------------------------------------------------------------------------


async def test_what_a_last_handler_of_faststream_publishes_on_the_bus_is_handled(
    make_app: Callable[..., Any], redis_url: str
) -> None:
    """It is in its handler when the app is told to stop."""
    bus, seen, name = Bus(), Seen(), fresh("orders")
    bus.add(noting(seen), "order.*")
    broker = RedisBroker(redis_url, logger=None)
    entered, go = anyio.Event(), anyio.Event()

    @broker.subscriber(stream=stream(name))
    async def handle(order: int, bus: BusDep) -> None:
        entered.set()
        await go.wait()
        await bus.publish("order.placed", order)

    async def let_go() -> None:
        await eventually(lambda: not broker.subscribers[0].running)
        go.set()

    app = make_app(broker, lifespan=bus.lifespan)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks, TestApp(app):
            await broker.publish(1, stream=name)
            await entered.wait()
            tasks.start_soon(let_go)
    assert seen.items == [1]


async def test_what_a_last_handler_of_the_bus_publishes_by_the_broker_arrives(
    make_app: Callable[..., Any], redis_url: str
) -> None:
    """Both sides have a last one: FastStream's wakes the bus's, and that publishes once more."""
    bus, name, out = Bus(), fresh("orders"), fresh("out")
    broker = RedisBroker(redis_url, logger=None)
    entered, go = anyio.Event(), anyio.Event()

    @broker.subscriber(stream=stream(name))
    async def handle(order: int, bus: BusDep) -> None:
        entered.set()
        await go.wait()
        await bus.publish("order.placed", order)

    @bus.subscribe("order.*")
    async def answer(order: int) -> None:
        with anyio.move_on_after(0.5):  # the broker does not close for all that time
            await eventually(lambda: not broker.running)
        await broker.publish(order, stream=out)

    async def let_go() -> None:
        await eventually(lambda: not broker.subscribers[0].running)
        go.set()

    app = make_app(broker, lifespan=bus.lifespan)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks, TestApp(app):
            await broker.publish(1, stream=name)
            await entered.wait()
            tasks.start_soon(let_go)
        async with RedisBroker(redis_url, logger=None) as looking:
            assert await (await looking.connect()).xlen(out) == 1


class CountingBus(Bus):
    stops = 0

    async def stop(self, *, grace: float = 30.0) -> None:
        self.stops += 1
        await super().stop(grace=grace)


async def test_an_app_that_starts_again_drains_again(redis_url: str) -> None:
    bus, seen, name = CountingBus(), Seen(), fresh("orders")
    bus.add(noting(seen), "order.*")
    broker = RedisBroker(redis_url, logger=None)

    @broker.subscriber(stream=stream(name))
    async def handle(order: int, bus: BusDep) -> None:
        await bus.publish("order.placed", order)

    app = FastStream(broker, lifespan=bus.lifespan)
    for number in range(3):
        async with TestApp(app):
            await broker.publish(number, stream=name)
            await eventually(lambda number=number: number in seen.items)  # type: ignore[misc]
    assert seen.items == [0, 1, 2]
    assert bus.stops == 6, "by the hook, and by the lifespan"


async def test_a_subscriber_that_cannot_be_stopped_keeps_nobody_from_draining(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, redis_url: str
) -> None:
    bus, seen, name = Bus(), Seen(), fresh("orders")
    bus.add(noting(seen), "order.*")
    broker = RedisBroker(redis_url, logger=None)

    @broker.subscriber(stream=stream(name))
    async def handle(order: int, bus: BusDep) -> None: ...

    (subscriber,) = broker.subscribers
    stop = type(subscriber).stop
    failures = iter([True])

    async def failing(self: Any) -> None:
        if next(failures, False):
            raise ZeroDivisionError("it cannot be stopped")
        await stop(self)

    monkeypatch.setattr(type(subscriber), "stop", failing)
    with caplog.at_level(logging.ERROR, "busway.faststream"):
        async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
            await bus.publish("order.placed", 1)
    assert seen.items == [1]
    assert not bus.running
    assert [each for each in caplog.records if "could not be stopped" in each.message]


async def test_with_hooks_a_last_handler_of_faststream_finds_a_bus_that_stopped(
    redis_url: str,
) -> None:
    bus, name = Bus(), fresh("orders")
    broker = RedisBroker(redis_url, logger=None)
    entered, raised = anyio.Event(), list[Exception]()

    @broker.subscriber(stream=stream(name))
    async def handle(order: int) -> None:
        entered.set()
        await eventually(lambda: not bus.running)
        try:
            await bus.publish("order.placed", order)
        except StateError as error:
            raised.append(error)

    hooks: dict[str, Any] = {"on_startup": [bus.start], "on_shutdown": [bus.stop]}
    async with TestApp(FastStream(broker, **hooks)):
        await broker.publish(1, stream=name)
        await entered.wait()
    assert len(raised) == 1


async def test_with_later_hooks_a_last_handler_of_the_bus_finds_a_broker_that_is_closed(
    redis_url: str,
) -> None:
    bus, out = Bus(), fresh("out")
    broker = RedisBroker(redis_url, logger=None)
    entered, raised = anyio.Event(), list[Exception]()

    @bus.subscribe("order.*")
    async def answer(order: int) -> None:
        entered.set()
        await eventually(lambda: not broker.running)
        await anyio.wait_all_tasks_blocked()
        try:
            await broker.publish(order, stream=out)
        except Exception as error:
            raised.append(error)

    hooks: dict[str, Any] = {"on_startup": [bus.start], "after_shutdown": [bus.stop]}
    async with TestApp(FastStream(broker, **hooks)):
        await bus.publish("order.placed", 1)
        await entered.wait()
    assert len(raised) == 1


# --- middleware -------------------------------------------------------------------------------


async def test_the_lifespan_adds_the_middleware_once_and_to_every_broker() -> None:
    bus = Bus()
    has_it = RedisBroker(logger=None, middlewares=[BusMiddleware])
    mirrors = RedisBroker(logger=None, middlewares=[MirrorToBus(bus)])
    plain = RedisBroker(logger=None)
    app = FastStream(has_it, mirrors, plain, lifespan=bus.lifespan)
    for _ in range(2):
        async with TestRedisBroker(has_it, mirrors, plain), TestApp(app):
            pass
    assert [len(broker.middlewares) for broker in (has_it, mirrors, plain)] == [1, 1, 1]
    assert list(plain.middlewares) == [BusMiddleware]


# --- errors -----------------------------------------------------------------------------------


async def test_an_error_of_a_handler_takes_neither_the_app_nor_the_bus_down(redis_url: str) -> None:
    bus, seen, name = Bus(service="shop"), Seen(), fresh("orders")
    broker = RedisBroker(redis_url, logger=None)

    @broker.subscriber(stream=stream(name))
    async def handle(order: int, bus: BusDep) -> None:
        await bus.publish("order.placed", order)
        if order == 0:
            raise ZeroDivisionError("FastStream's handler")

    @bus.subscribe("order.*", group="billing")
    async def bill(order: int) -> None:
        seen.add(order)
        if order == 0:
            raise ZeroDivisionError("the bus's handler")

    async with TestApp(FastStream(broker, lifespan=bus.lifespan)):
        await broker.publish(0, stream=name)
        await broker.publish(1, stream=name)
        await eventually(lambda: 1 in seen.items)
        assert bus.running


async def test_a_bus_that_runs_already_is_a_clear_error(make_app: Callable[..., Any]) -> None:
    bus, broker = Bus(), RedisBroker(logger=None)
    app = make_app(broker, lifespan=bus.lifespan)
    await bus.start()
    async with TestRedisBroker(broker):
        with pytest.raises(StateError, match=r"bus is running.*leave out lifespan="):
            async with TestApp(app):
                pytest.fail("it was started twice")
        assert bus.running
    await bus.stop()


async def test_one_bus_in_two_apps_is_a_clear_error() -> None:
    bus, one, two = Bus(), RedisBroker(logger=None), RedisBroker(logger=None)
    async with TestRedisBroker(one), TestApp(FastStream(one, lifespan=bus.lifespan)):
        async with TestRedisBroker(two):
            with pytest.raises(StateError, match="Give each app a Bus of its own"):
                async with TestApp(FastStream(two, lifespan=bus.lifespan)):
                    pytest.fail("two apps have one bus")
        assert bus.running


async def test_lifespan_and_hooks_together_are_a_clear_error() -> None:
    bus, broker = Bus(), RedisBroker(logger=None)
    app = FastStream(broker, lifespan=bus.lifespan, on_startup=[bus.start])
    async with TestRedisBroker(broker):
        with pytest.raises(StateError, match=r"bus is running: start\(\) once"):
            await app.run()
    assert not bus.running


@pytest.mark.parametrize("started", [True, False])
async def test_publishing_on_a_bus_that_does_not_run_is_a_clear_error(started: bool) -> None:
    bus, broker = Bus(), RedisBroker(logger=None)

    @broker.subscriber("orders")
    async def handle(order: int, bus: BusDep) -> None:
        await bus.publish("order.placed", order)

    app = FastStream(broker, context=ContextRepo({"bus": bus}))
    if started:
        await bus.start()
        await bus.stop()
    async with TestRedisBroker(broker), TestApp(app):
        with pytest.raises(StateError, match=r"the bus is (not started|stopped): publish inside"):
            await broker.publish(1, "orders")


async def test_a_handler_that_asks_for_a_bus_where_there_is_none_is_told_what_to_do() -> None:
    broker = RedisBroker(logger=None)

    @broker.subscriber("orders")
    async def handle(order: int, bus: BusDep) -> None: ...

    async with TestRedisBroker(broker), TestApp(FastStream(broker)):
        with pytest.raises(StateError, match=r"lifespan=bus\.lifespan"):
            await broker.publish(1, "orders")


async def test_an_app_without_a_broker_is_a_clear_error() -> None:
    bus = Bus()
    with pytest.raises(StateError, match=r"needs a broker to start.*await bus\.run\(\)"):
        await FastStream(lifespan=bus.lifespan).run()
    assert not bus.running


async def test_an_asgi_app_without_a_broker_is_a_clear_error() -> None:
    bus = Bus()
    app = AsgiFastStream(lifespan=bus.lifespan)
    with pytest.raises(StateError, match="needs a broker to start"):
        async with app.start_lifespan_context():
            await anyio.sleep(PATIENCE)
    assert not bus.running


async def test_an_app_that_finds_its_broker_while_it_starts_is_none_without() -> None:
    bus, broker = Bus(), RedisBroker(logger=None)
    app = FastStream(lifespan=bus.lifespan)

    @app.on_startup
    async def find() -> None:
        app.add_broker(broker)

    async with TestRedisBroker(broker), TestApp(app):
        assert bus.running


async def test_an_assertion_of_the_apps_own_passes_unchanged() -> None:
    bus, broker = Bus(), RedisBroker(logger=None)
    app = FastStream(broker, lifespan=bus.lifespan)

    @app.after_startup
    async def wrong() -> None:
        raise AssertionError("the app's own")

    async with TestRedisBroker(broker):
        with pytest.raises(AssertionError, match="the app's own"):
            await app.run()
