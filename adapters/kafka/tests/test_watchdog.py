"""A part of the adapter that dies is noticed, and made anew."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from busway import Bus, PublishError
from busway_kafka import KafkaTransport, open_kafka
from busway_kafka._feed import KafkaFeed
from busway_kafka._producing import Producer
from busway_kafka._reading import ends_of
from busway_kafka._watchdog import Watchdog
from tests.servers import KafkaServer

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 30.0


class Scene:
    """A bus with one handler, on a transport that can be looked into."""

    def __init__(self, url: str) -> None:
        self.transport: KafkaTransport = open_kafka(
            url, prefix=f"t{uuid.uuid4().hex[:8]}.", lease="3s", metadata_age="300ms"
        )
        self.bus = Bus(self.transport, service="shop")
        self.seen: list[int] = []
        self.bus.add(self._charge, "order.*", group="billing")

    async def _charge(self, order: int) -> None:
        self.seen.append(order)

    @property
    def feed(self) -> KafkaFeed:
        (feed,) = self.transport.feeds
        return feed

    async def handles(self, order: int) -> None:
        """Publish one, and see it handled and committed."""
        await self.bus.publish("order.placed", order, key=f"k{order}")
        await self.until(lambda: order in self.seen)
        await self.until(lambda: all(not each.in_flight for each in self.transport.partitions()))

    async def until(self, fact: Callable[[], bool]) -> None:
        while not fact():
            await anyio.sleep(0.01)


@asynccontextmanager
async def running(url: str) -> AsyncIterator[Scene]:
    scene = Scene(url)
    with anyio.fail_after(PATIENCE):
        async with scene.bus:
            await scene.handles(0)
            yield scene


def dying(of: Any, name: str, monkeypatch: pytest.MonkeyPatch, times: int = 1) -> None:
    """So many calls of a method fail as no broker makes it fail."""
    real, left = getattr(of, name), [times]

    def called(*args: Any, **named: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise KeyError("a mistake")
        return real(*args, **named)

    monkeypatch.setattr(of, name, called)


@pytest.mark.parametrize(
    ("part", "method"),
    [("fetcher", "_by_node"), ("fetcher", "_apply"), ("membership", "_heartbeat"), ("", "_look")],
)
async def test_a_part_that_dies_is_made_anew_and_nothing_is_lost(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch, part: str, method: str
) -> None:
    async with running(kafka_url) as scene:
        dying(getattr(scene.feed, part) if part else scene.feed, method, monkeypatch)
        await scene.bus.publish("order.placed", 1, key="k1")
        await scene.until(lambda: scene.transport.report()["rebuilt"] == 1)
        await scene.until(lambda: 1 in scene.seen)
        await scene.handles(2)
        assert scene.transport.report()["rebuilt"] == 1


async def test_what_was_put_off_by_one_that_died_is_put_off_by_the_next(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(kafka_url) as scene:
        dying(scene.feed._defer, "_move", monkeypatch)
        await scene.bus.publish("order.placed", 1, key="k1", delay=30)
        await scene.until(lambda: scene.transport.report()["rebuilt"] == 1)
        tier = f"{scene.transport.options.prefix}order.billing.retry.1m"
        while not sum((await ends_of(scene.transport.client, [tier])).values()):
            await anyio.sleep(0.02)
        await scene.handles(2)


async def test_a_commit_that_fails_by_a_mistake_is_made_again(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(kafka_url) as scene:
        dying(scene.feed.committer, "_try", monkeypatch)
        await scene.handles(1)
        await scene.until(lambda: all(not s.distance for s in scene.transport.partitions()))
    assert "by a mistake of ours" in caplog.text


@pytest.mark.parametrize("method", ["_hand_over", "next", "_gather", "exchange"])
async def test_a_writer_that_dies_tells_who_waits_and_writes_what_comes_next(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    async with running(kafka_url) as scene:
        producer = scene.transport.producer
        if method == "_hand_over":  # by whom it is led must not be known
            monkeypatch.setattr(scene.transport.client, "leader", lambda *_: None)
            dying(producer, method, monkeypatch)
        else:
            dying(producer._writer, method, monkeypatch)
        began = time.monotonic()
        with pytest.raises(PublishError):
            await scene.bus.publish("order.placed", 1, key="k1")
        assert time.monotonic() - began < 2
        monkeypatch.undo()
        await scene.handles(2)
        assert 1 not in scene.seen


async def test_what_renews_the_metadata_goes_on_after_a_mistake(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = open_kafka(kafka_url, prefix=f"t{uuid.uuid4().hex[:8]}.", metadata_age="50ms")
    with anyio.fail_after(PATIENCE):
        async with transport:
            dying(transport.client, "refresh", monkeypatch)
            since = transport.client.refreshed
            while transport.client.refreshed == since:
                await anyio.sleep(0.01)


async def test_one_that_dies_again_and_again_is_told_to_the_bus() -> None:
    beyond: list[BaseException] = []
    resets: list[None] = []
    watchdog = Watchdog("billing", lambda: resets.append(None), beyond.append)

    async def dies() -> None:
        raise KeyError("a mistake")

    with anyio.fail_after(PATIENCE):
        await watchdog.keep("fetcher", dies)
    assert [type(each) for each in beyond] == [KeyError]
    assert (len(resets), watchdog.rebuilt) == (3, 3)


async def test_one_that_ends_by_itself_died_too() -> None:
    beyond: list[BaseException] = []
    watchdog = Watchdog("billing", lambda: None, beyond.append)

    async def ends() -> None: ...

    with anyio.fail_after(PATIENCE):
        await watchdog.keep("fetcher", ends)
    assert "ended by itself" in str(beyond[0])


async def test_what_cannot_be_made_anew_is_raised_by_receive(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(kafka_url) as scene:
        scene.feed._beyond_repair(KeyError("a mistake"))
        with pytest.raises(KeyError):
            await scene.feed.receive(1)
        scene.feed._lending.mistake = None


@pytest.mark.parametrize("what", ["kill", "pause"])
async def test_a_bus_stops_in_time_whatever_the_broker_does(
    own_kafka: KafkaServer, what: str
) -> None:
    scene = Scene(own_kafka.url)
    busy = anyio.Event()

    @scene.bus.subscribe("paper.*", group="reading", concurrency=4)
    async def read(paper: int) -> None:
        busy.set()
        await anyio.sleep_forever()

    with anyio.fail_after(PATIENCE):
        await scene.bus.start()
        await scene.bus.publish("paper.printed", 1)
        await busy.wait()
        await anyio.to_thread.run_sync(getattr(own_kafka, what))
        began = time.monotonic()
        try:
            await scene.bus.stop(grace=0.2)
        finally:
            if what == "pause":
                await anyio.to_thread.run_sync(own_kafka.resume)
    limit = scene.transport.options.timeout
    # To give back, to leave and to close: each once.
    assert time.monotonic() - began < 0.2 + 4 * limit + 2
    assert not scene.transport.feeds


async def test_a_closed_producer_has_no_task_left(kafka_url: str) -> None:
    async with running(kafka_url) as scene:
        producer: Producer = scene.transport.producer
    assert producer._router is None
    assert not producer._tasks
