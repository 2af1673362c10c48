"""``bus.from_thread``: publishing from code in threads."""

from __future__ import annotations

from functools import partial
from threading import Thread

import anyio
import anyio.to_thread
import pytest

from busway import Bus, Envelope, EventError, PublishError, StateError
from tests.helping import URLS, Answering, down, ready

__all__: list[str] = []


@pytest.mark.anyio
@pytest.mark.parametrize("url", URLS)
async def test_a_plain_handler_publishes_children_of_what_it_handles(url: str) -> None:
    async with Bus(url) as bus:
        got: list[Envelope] = []

        @bus.subscribe("order.placed")
        def plain(data: dict[str, int]) -> None:
            bus.from_thread.publish("order.seen", data, tenant="acme")

        @bus.subscribe("order.seen")
        async def see(envelope: Envelope) -> None:
            got.append(envelope)

        await ready(bus)
        parent = await bus.publish("order.placed", {"a": 1})
        await bus.drain(timeout=5)
    (seen,) = got
    assert (seen.causation_id, seen.tenant) == (parent.id, "acme")


@pytest.mark.anyio
async def test_a_thread_of_ones_own_publishes_and_gets_the_envelope() -> None:
    transport = Answering()
    async with Bus(transport) as bus:
        got: list[Envelope] = []
        thread = Thread(target=lambda: got.append(bus.from_thread.publish("order.placed", 1)))
        thread.start()
        await anyio.to_thread.run_sync(thread.join)
    assert transport.data == [1]
    assert got[0].topic == "order.placed"


@pytest.mark.anyio
async def test_its_errors_are_those_of_publish() -> None:
    async with Bus(Answering(down)) as bus:
        with pytest.raises(PublishError, match="not sent"):
            await anyio.to_thread.run_sync(bus.from_thread.publish, "order.placed", 1)
        with pytest.raises(EventError, match="does not say its topic"):
            await anyio.to_thread.run_sync(bus.from_thread.publish, object())


@pytest.mark.anyio
async def test_on_the_event_loop_itself_it_says_so_instead_of_waiting_for_ever() -> None:
    async with Bus() as bus:
        with pytest.raises(StateError, match=r"own thread.*await bus\.publish"):
            bus.from_thread.publish("order.placed", 1)


@pytest.mark.anyio
async def test_before_the_start_and_after_the_stop_it_says_what_to_do() -> None:
    bus = Bus()
    with pytest.raises(StateError, match="not started: start it before threads publish"):
        bus.from_thread.publish("order.placed", 1)
    async with bus:
        pass
    with pytest.raises(StateError, match="the bus is stopped"):
        await anyio.to_thread.run_sync(bus.from_thread.publish, "order.placed", 1)


def test_when_the_event_loop_is_gone_it_says_so(anyio_backend: str) -> None:
    bus = Bus()

    async def run() -> None:
        async with bus:
            pass

    errors: list[BaseException] = []

    def publish() -> None:
        try:
            bus.from_thread.publish("order.placed", 1)
        except StateError as error:
            errors.append(error)

    owner = Thread(target=partial(anyio.run, run, backend=anyio_backend))
    owner.start()
    owner.join()
    other = Thread(target=publish)
    other.start()
    other.join()
    # The new thread may have got the number of the loop's: then it is told that in other words.
    assert len(errors) == 1
