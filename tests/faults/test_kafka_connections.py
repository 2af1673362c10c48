"""Connections to Kafka are cut, stalled and slowed at chosen places, under a bus in here."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from busway import Bus, Message, PublishError, PublishUnknown
from tests.faults._commits import Commits
from tests.faults._ledger import Far
from tests.faults._proxy import Direction, Place, Proxy
from tests.servers import KafkaServer
from tests.servers.plugin import started_or_skip

__all__: list[str] = []

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

PATIENCE = 20.0
LEASE = 3.0
LATE = 2.0
"""Seconds that this machine may add to a deadline of the bus."""
NOTE = b'{"busway":1'
"""The text beside an offset that is committed."""
JOINS = b"\x00\x08consumer\x00\x00\x00"
"""What a request to join a group says, and no other."""
ALL_WAYS = pytest.mark.parametrize("way", ["both", "up", "down"])


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    with started_or_skip(lambda: KafkaServer(ways=1)) as server:
        yield server


class Town:
    """One bus behind the proxy, and what it handled."""

    def __init__(self, server: KafkaServer, proxy: Proxy, prefix: str) -> None:
        self.proxy = proxy
        self.seen: list[str] = []
        query = f"?lease={LEASE:g}s&metadata_age=500ms&partitions=1&prefix={prefix}."
        self._url = f"kafka://{server.outside(0)}/{query}"
        self.bus = self.another()
        self._commits = Commits(server.servers, f"{prefix}.")
        self._topic = f"{prefix}.red"
        self._changed = asyncio.Condition()

    def another(self) -> Bus:
        """Another process, as far as Kafka can tell."""
        bus = Bus(self._url, service="shop", publish_timeout=2.0)
        bus.add(self.handle, "red.*", group="see")
        return bus

    async def handle(self, data: dict[str, str], message: Message[Any]) -> None:
        async with self._changed:
            self.seen.append(data["event"])
            self._changed.notify_all()

    async def handled(self, *names: str) -> None:
        """Until these were handled, in whatever order."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: set(names) <= set(self.seen))

    async def publish(self, name: str) -> None:
        await self.bus.publish("red.done", {"event": name}, key=name)

    async def written(self) -> list[str]:
        """What lies in the topic, up to where the group has committed."""
        seen = await asyncio.to_thread(self._commits.look, ("see",))
        self._commits.ledger.add(seen.records)
        return self._commits.ledger.events((self._topic, 0))

    async def committed(self, count: int) -> None:
        """Until the group has so many behind it."""
        async with asyncio.timeout(PATIENCE):
            while True:
                seen = await asyncio.to_thread(self._commits.look, ("see",))
                self._commits.ledger.add(seen.records)
                if seen.far["see"].get((self._topic, 0), Far(0)).offset >= count:
                    return


@asynccontextmanager
async def town(server: KafkaServer, request: pytest.FixtureRequest) -> AsyncGenerator[Town]:
    prefix = "".join(each if each.isalnum() else "-" for each in request.node.name)[-60:]
    way = server.ways[0]
    async with Proxy("127.0.0.1", way.inner, way.outer) as proxy:
        found = Town(server, proxy, prefix)
        async with found.bus:
            await found.publish("first")
            await found.handled("first")
            yield found


@pytest.mark.parametrize("place", ["before", "after", "amid"])
async def test_a_publish_whose_connection_is_cut_is_written_once_and_told_to_be(
    server: KafkaServer, request: pytest.FixtureRequest, place: Place
) -> None:
    """It is sent again under the same number."""
    async with town(server, request) as here:
        cut = here.proxy.cut_at(b'"second"', place)
        await here.publish("second")
        assert cut.is_set()
        await here.publish("third")
        await here.committed(3)
        assert await here.written() == ["first", "second", "third"]


@ALL_WAYS
async def test_a_publish_into_a_stall_is_unknown_and_arrives_once_at_most(
    server: KafkaServer, request: pytest.FixtureRequest, way: Direction
) -> None:
    async with town(server, request) as here:
        here.proxy.stall(way)
        with pytest.raises(PublishUnknown):
            await here.publish("second")
        here.proxy.heal()
        await here.publish("third")
        await here.handled("third")
        await here.committed(len(set(here.seen)))
        assert (await here.written()).count("second") <= 1
        assert (await here.written()).count("third") == 1


async def test_a_delivery_that_was_cut_in_its_middle_is_handled_once(
    server: KafkaServer, request: pytest.FixtureRequest
) -> None:
    async with town(server, request) as here:
        cut = here.proxy.cut_at(b'"second"', "delivery")
        await here.publish("second")
        await here.handled("second")
        assert cut.is_set()
        await here.publish("third")
        await here.handled("third")
        assert here.seen == ["first", "second", "third"]


@pytest.mark.parametrize("place", ["before", "after"])
async def test_a_commit_whose_connection_is_cut_is_made_again(
    server: KafkaServer, request: pytest.FixtureRequest, place: Place
) -> None:
    async with town(server, request) as here:
        await here.committed(1)
        cut = here.proxy.cut_at(NOTE, place)
        await here.publish("second")
        await here.handled("second")
        await asyncio.wait_for(cut.wait(), PATIENCE)
        await here.committed(2)
        assert here.seen == ["first", "second"]


@pytest.mark.parametrize("place", ["before", "after", "amid"])
async def test_who_joins_and_whose_connection_is_cut_then_is_let_in(
    server: KafkaServer, request: pytest.FixtureRequest, place: Place
) -> None:
    async with town(server, request) as here:
        cut = here.proxy.cut_at(JOINS, place)
        async with here.another():
            await asyncio.wait_for(cut.wait(), PATIENCE)
            await here.publish("second")
            await here.handled("second")
            await here.committed(2)
        await here.publish("third")
        await here.handled("third")
        assert here.seen == ["first", "second", "third"]


async def test_connections_that_the_broker_closed_because_they_were_idle_are_no_error(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    config = {"connections.max.idle.ms": "1000"}
    with started_or_skip(lambda: KafkaServer(ways=1, config=config)) as server:
        async with town(server, request) as here:
            await here.committed(1)
            caplog.clear()  # a broker that has just come up is not sure of itself
            before = here.proxy.connections
            async with asyncio.timeout(PATIENCE):
                while here.proxy.connections >= before:
                    await asyncio.sleep(0.01)
            await here.publish("second")
            await here.handled("second")
            await here.committed(2)
            assert await here.written() == ["first", "second"]
            assert [each.message for each in caplog.records if each.levelname != "DEBUG"] == []


async def test_everything_goes_on_after_all_connections_were_cut_many_times(
    server: KafkaServer, request: pytest.FixtureRequest
) -> None:
    async with town(server, request) as here:
        names = [f"n{number}" for number in range(60)]
        for name in names:
            await here.publish(name)
            if int(name[1:]) % 5 == 0:
                here.proxy.cut()
        await here.handled(*names)
        await here.committed(61)
        assert here.seen == ["first", *names]
        assert await here.written() == ["first", *names]


@ALL_WAYS
async def test_who_is_stalled_for_longer_than_its_lease_receives_again_and_loses_nothing(
    server: KafkaServer, request: pytest.FixtureRequest, way: Direction
) -> None:
    """Neither heartbeats nor what is read is answered."""
    async with town(server, request) as here:
        here.proxy.stall(way)
        await asyncio.sleep(1.5 * LEASE)  # no fact: that nothing is heard for so long
        here.proxy.heal()
        await here.publish("second")
        await here.handled("second")
        await here.committed(2)


async def test_slow_and_byte_by_byte_is_still_everything_once(
    server: KafkaServer, request: pytest.FixtureRequest
) -> None:
    async with town(server, request) as here:
        here.proxy.line.latency, here.proxy.line.trickling = 0.02, True
        names = [f"n{number}" for number in range(5)]
        for name in names:
            await here.publish(name)
        await here.handled(*names)
        here.proxy.line.latency, here.proxy.line.trickling = 0.0, False
        assert here.seen == ["first", *names]


async def test_connections_on_which_nobody_is_heard_any_more_are_replaced(
    server: KafkaServer, request: pytest.FixtureRequest
) -> None:
    """As when something between has forgotten them. Twice: the second time those of the URL's."""
    async with town(server, request) as here:
        for name in ("second", "third"):
            here.proxy.forget()
            async with asyncio.timeout(PATIENCE):
                while name not in here.seen:
                    with contextlib.suppress(PublishError, PublishUnknown):
                        await here.publish(name)
                        await here.handled(name)


async def test_a_broker_that_answers_garbage_is_told_in_time_and_all_goes_on_after_it(
    server: KafkaServer, request: pytest.FixtureRequest
) -> None:
    """For longer than a lease, and to whatever is asked."""
    async with town(server, request) as here:
        await here.committed(1)
        here.proxy.line.garbling = True
        told, until = list[str](), time.monotonic() + 1.3 * LEASE
        while time.monotonic() < until:
            began = time.monotonic()
            told.append(await outcome(here, f"n{len(told)}"))
            assert time.monotonic() - began < 2.0 + LATE
        here.proxy.line.garbling = False
        async with asyncio.timeout(PATIENCE):
            while await outcome(here, "last") == "not sent":
                await asyncio.sleep(0.1)
        await here.handled("last")
        await here.committed(len(set(here.seen)))
        lies = await here.written()
        may = {"written": {1}, "unknown": {0, 1}, "not sent": {0}}
        assert all(lies.count(f"n{number}") in may[said] for number, said in enumerate(told))


async def outcome(here: Town, name: str) -> str:
    """What a publisher is told."""
    try:
        await here.publish(name)
    except PublishUnknown:
        return "unknown"
    except PublishError:
        return "not sent"
    return "written"
