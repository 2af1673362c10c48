"""One step after another."""

from __future__ import annotations

import msgspec
import pytest

from busway import Backoff, Bus, MissingPower, OptionError, Retry, event
from busway.memory import MemoryTransport, NullTransport
from busway.testing import PartitionedLog, Stepped, VirtualClock, capture, drain_once
from busway.transport import Transport

__all__ = ["pytestmark"]

pytestmark = pytest.mark.anyio


@event("stepped.asked", key="id")
class Asked(msgspec.Struct, frozen=True):
    id: str


@event("stepped.done", key="id")
class Done(msgspec.Struct, frozen=True):
    id: str


def stepped(transport: Transport | None = None, *, attempts: int = 1, after: float = 60.0) -> Bus:
    retry = Retry(attempts=attempts, backoff=Backoff(first=after, jitter="none"))
    inner = transport or MemoryTransport()
    return Bus(Stepped(inner), service="test", retry=retry, clock=VirtualClock())


@pytest.mark.parametrize(
    "transport", [MemoryTransport, PartitionedLog], ids=["memory", "partitioned log"]
)
async def test_a_step_handles_what_waits_and_not_what_the_handlers_publish(
    transport: type[Transport],
) -> None:
    bus = stepped(transport())

    @bus.subscribe(Asked, concurrency=4)
    async def do(asked: Asked) -> None:
        await bus.publish(Done(asked.id))

    @bus.subscribe(Done)
    async def note(done: Done) -> None: ...

    with capture(bus) as captured:
        async with bus:
            await bus.publish_many([Asked("a"), Asked("b"), Asked("c")])
            await captured.settled(later=False)
            assert len(captured.handled) == 0
            await drain_once(bus)
            assert {each.id for each in captured.handled.events} == {"a", "b", "c"}
            assert len(captured.published.of(Done)) == 3
            assert len(captured.handled.of(Done)) == 0
            await drain_once(bus)
            assert len(captured.handled.of(Done)) == 3
            assert await drain_once(bus) == 0


async def test_a_handler_that_publishes_to_its_own_group_is_called_once_in_a_step() -> None:
    bus = stepped()

    @bus.subscribe("stepped.*", group="loop")
    async def again(asked: Asked) -> None:
        await bus.publish(Asked(asked.id + "'"))

    with capture(bus) as captured:
        async with bus:
            await bus.publish(Asked("a"))
            for name in ("a", "a'", "a''"):
                captured.clear()
                assert await drain_once(bus) == 1
                assert captured.handled.events == [Asked(name)]


@pytest.mark.parametrize("after", [60.0, 0.5], ids=["sent again", "in place"])
async def test_an_attempt_that_failed_is_not_made_again_in_the_same_step(after: float) -> None:
    bus = stepped(attempts=2, after=after)
    attempts: list[int] = []

    @bus.subscribe(Asked)
    async def fail(asked: Asked) -> None:
        attempts.append(1)
        raise ConnectionError

    with capture(bus) as captured:
        async with bus:
            await bus.publish(Asked("a"))
            assert await drain_once(bus) == 1
            assert (len(attempts), len(captured.retried)) == (1, 1)
            assert await drain_once(bus) == 0
            clock = bus.clock
            assert isinstance(clock, VirtualClock)
            await clock.advance(after)
            await drain_once(bus)
            assert (len(attempts), len(captured.dead_lettered)) == (2, 1)


async def test_each_group_has_its_own_step() -> None:
    bus = stepped()

    @bus.subscribe(Asked, group="one")
    async def one(asked: Asked) -> None: ...

    @bus.subscribe(Asked, group="two")
    async def two(asked: Asked) -> None: ...

    with capture(bus) as captured:
        async with bus:
            await bus.publish(Asked("a"))
            assert await drain_once(bus) == 2
            assert sorted(each.group for each in captured.handled) == ["one", "two"]


async def test_a_bus_that_is_not_stepped_says_how_to_make_it_so() -> None:
    with pytest.raises(OptionError, match=r"Bus\(Stepped\(MemoryTransport\(\)\)\)"):
        await drain_once(Bus())


def test_a_transport_that_cannot_tell_what_waits_cannot_be_stepped() -> None:
    with pytest.raises(MissingPower, match="ManagesGroups"):
        Stepped(NullTransport())
