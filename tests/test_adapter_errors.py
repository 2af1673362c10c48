"""What becomes of a bus whose adapter raises what no adapter may."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from busway import Bus, TransportError
from busway.memory import MemoryTransport
from busway.testing import Flaky, PartitionedLog
from busway.testing._faults import Operation
from busway.transport import Transport
from tests.facts import PATIENCE, Seen, noting, quick, stopped_in_mid_handler, until

__all__: list[str] = []

pytestmark = pytest.mark.anyio


def leased() -> Transport:
    return MemoryTransport(lease=0.1)


CALLS: list[tuple[Operation, Callable[[], Transport]]] = [
    ("receive", MemoryTransport),
    ("ack", MemoryTransport),
    ("ack", PartitionedLog),
    ("redeliver", MemoryTransport),
    ("move", MemoryTransport),
    ("extend", leased),
    ("announce", PartitionedLog),
]


def bus_over(transport: Flaky) -> Bus:
    """A bus that comes to make every call: one handler does well, one tries again later, one gives
    up, one takes long, and some events have none."""
    bus = Bus(transport, service="s", retry=quick(2, in_place=0.0))

    @bus.subscribe("a.good", group="g")
    async def good(data: Any) -> None:
        await anyio.lowlevel.checkpoint()

    @bus.subscribe("a.bad", group="g")
    async def bad(data: Any) -> None:
        raise ValueError("no")

    @bus.subscribe("a.long", group="long")
    async def long(data: Any) -> None:
        await anyio.sleep_forever()

    return bus


async def breaks(bus: Bus, transport: Flaky, operation: Operation, error: Any) -> TransportError:
    """Let the call break, and return what the bus raises."""
    with anyio.fail_after(PATIENCE), pytest.raises(TransportError) as broken:  # noqa: PT012
        async with bus:
            # What a publisher sends goes well; a handler's failures are sent again by the bus.
            await bus.publish("a.long", 0)
            for topic in ("a.good", "a.bad", "a.other"):
                await bus.publish(topic, 0)
                transport.fail(operation, times=math.inf, error=error)
            await until(lambda: not bus.running)
    return broken.value


@pytest.mark.parametrize(("operation", "make"), CALLS)
async def test_an_adapters_own_error_stops_the_bus_which_says_whose_it_is(
    operation: Operation, make: Callable[[], Transport], caplog: pytest.LogCaptureFixture
) -> None:
    transport = Flaky(make())
    error = KeyError("boom")
    raised = await breaks(bus_over(transport), transport, operation, error)
    assert str(raised).startswith("busway.testing._flaky.Flaky: ")
    assert "raised KeyError: 'boom'. An adapter may raise TransportError and nothing else" in (
        str(raised)
    )
    assert raised.__cause__ is error
    assert not raised.retryable
    loud = [each for each in caplog.records if each.levelno == logging.CRITICAL]
    assert [str(raised) in each.getMessage() for each in loud] == [True]


async def test_an_adapters_own_error_in_a_release_is_raised_by_the_stop() -> None:
    transport = Flaky(PartitionedLog())
    transport.fail("release", times=math.inf, error=KeyError("boom"))
    with pytest.raises(TransportError, match="release raised KeyError"):
        await stopped_in_mid_handler(Bus(transport, service="s"))


@pytest.mark.parametrize("operation", ["receive", "ack"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_that_the_adapter_let_pass_stops_the_bus_and_no_worker_silently(
    operation: Operation,
) -> None:
    """asyncio's clients cancel futures of their own; only there can it be taken for ours."""
    transport = Flaky(MemoryTransport())
    error = asyncio.CancelledError()
    raised = await breaks(bus_over(transport), transport, operation, error)
    assert f"{operation} raised CancelledError" in str(raised)


@pytest.mark.parametrize("operation", ["receive", "ack"])
async def test_what_an_adapters_own_error_left_behind_comes_again(operation: Operation) -> None:
    transport = Flaky(PartitionedLog())
    async with transport:
        bus, first = Bus(transport, service="s"), Seen()
        bus.add(noting(first), "a.b", group="g")
        transport.fail(operation, times=math.inf, error=KeyError("boom"))
        with anyio.fail_after(PATIENCE), pytest.raises(TransportError):  # noqa: PT012
            async with bus:
                await bus.publish("a.b", 1)
                await until(lambda: not bus.running)
        transport.heal()
        again, later = Bus(transport, service="s"), Seen()
        again.add(noting(later), "a.b", group="g")
        with anyio.fail_after(PATIENCE):
            async with again:
                assert await later.count(1) == [1]
