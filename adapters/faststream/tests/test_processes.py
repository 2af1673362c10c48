"""Real processes: what ``faststream run`` and uvicorn make of an app with a bus."""

from __future__ import annotations

import re
import signal
import socket
import textwrap

import pytest

from .world import PATIENCE, World

__all__: list[str] = []

APP = """
import os, signal
from faststream import FastStream
from faststream.asgi import AsgiFastStream
from faststream.redis import RedisBroker, StreamSub
from busway import Bus
from busway_faststream import BusDep

URL, NAME = os.environ["URL"], os.environ["NAME"]
bus = Bus(f"{URL}?prefix={NAME}", service="shop")
broker = RedisBroker(URL)
me = {"group": "g", "consumer": str(os.getpid())}

@broker.subscriber(stream=StreamSub(NAME, max_records=1, **me))
@broker.subscriber(stream=StreamSub(NAME, min_idle_time=5000, **me))
async def handle(order: int, bus: BusDep) -> None:
    if order == -1:
        raise ZeroDivisionError("FastStream's handler")
    await bus.publish("order.placed", order, key=str(order))

@bus.subscribe("order.*", group="billing")
async def bill(order: int) -> None:
    if order == 0:
        raise ZeroDivisionError("the bus's handler")
    client = await broker.connect()
    await client.rpush(f"{NAME}:billed", f"{os.getpid()}:{order}:EDITION")

app = FastStream(broker, lifespan=bus.lifespan)
asgi = AsgiFastStream(broker, lifespan=bus.lifespan)

async def told() -> None:
    client = await broker.connect()
    await client.rpush(f"{NAME}:up", os.getpid())

app.after_startup(told)
asgi.after_startup(told)
"""


def write(world: World, edition: str) -> None:
    """Write the app's file."""
    world.file("shop_app.py", APP.replace("EDITION", edition))


@pytest.fixture(autouse=True)
def first_edition(world: World) -> None:
    write(world, "1")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.timeout(120)
def test_faststream_run_with_one_worker_survives_what_handlers_raise(world: World) -> None:
    with world.running("faststream", "run", "shop_app:app") as process:
        world.until(world.up, "it is up")
        world.publish(-1, 0, 1, 2, 3)
        world.until(lambda: world.orders() == [1, 2, 3], "all were billed")
        assert process.poll() is None
        world.ends_well(process)


@pytest.mark.timeout(120)
def test_faststream_run_with_two_workers_has_a_bus_in_each(world: World) -> None:
    with world.running("faststream", "run", "--workers", "2", "shop_app:app") as process:
        world.until(lambda: len(set(world.up())) == 2, "both are up")
        sent = 0

        def both() -> bool:
            nonlocal sent
            sent += 1
            world.publish(sent)
            return len({worker for worker, _, _ in world.billed()}) == 2

        world.until(both, "each has billed some")
        world.until(lambda: world.orders() == list(range(1, sent + 1)), "each was billed once")
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    assert {worker for worker, _, _ in world.billed()} <= set(world.up())


@pytest.mark.timeout(120)
def test_faststream_run_with_reload_has_the_bus_again_after_each_change(world: World) -> None:
    with world.running("faststream", "run", "--reload", "shop_app:app") as process:
        world.until(world.up, "it is up")
        world.publish(1)
        world.until(lambda: world.orders() == [1], "it was billed")
        before = len(world.up())
        write(world, "2")
        world.until(lambda: len(world.up()) > before, "it is up again")
        world.publish(2)
        world.until(lambda: world.orders() == [1, 2], "it was billed by the new code")
        assert [edition for _, _, edition in world.billed()] == ["1", "2"]
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


@pytest.mark.timeout(120)
def test_uvicorn_runs_an_asgi_app_with_the_bus(world: World) -> None:
    port = str(free_port())
    with world.running("uvicorn", "--port", port, "shop_app:asgi") as process:
        world.until(world.up, "it is up")
        world.publish(-1, 0, 1, 2, 3)
        world.until(lambda: world.orders() == [1, 2, 3], "all were billed")
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    assert "Application shutdown complete" in world.log.read_text()


@pytest.mark.timeout(120)
def test_what_a_worker_has_begun_when_it_is_told_to_stop_is_not_lost(world: World) -> None:
    """It is stopped in the middle of many, and another one does what is left. FastStream may have
    read a message that it did not begin: that is what the second subscriber is for."""
    with world.running("faststream", "run", "shop_app:app") as process:
        world.until(world.up, "it is up")
        world.publish(*range(1, 201))
        world.until(lambda: len(world.billed()) > 20, "some were billed")
        world.ends_well(process)
    handled = len(world.billed())
    before = len(world.up())
    with world.running("faststream", "run", "shop_app:app") as process:
        world.until(lambda: len(world.up()) > before, "the next is up")
        world.until(lambda: set(world.orders()) == set(range(1, 201)), "all were billed")
        world.ends_well(process)
    assert handled < 200, "it was stopped in the middle"


@pytest.mark.timeout(120)
def test_an_app_that_starts_its_bus_twice_says_so_and_ends(world: World) -> None:
    program = """
        from faststream import FastStream
        from shop_app import broker, bus

        app = FastStream(broker, lifespan=bus.lifespan, on_startup=[bus.start])
        """
    world.file("twice.py", textwrap.dedent(program))
    with world.running("faststream", "run", "twice:app") as process:
        assert process.wait(PATIENCE) != 0
    assert re.search(r"StateError.*bus is running: start\(\) once", world.log.read_text())
