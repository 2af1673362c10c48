"""The powers that only a transport in this process can have."""

from __future__ import annotations

import anyio

from busway.transport import Holds, Posts, SystemClock, TakesClock

from ._base import SuiteBase, missing
from ._driver import Driver, values

__all__ = ["LocalPowers"]


class LocalPowers(SuiteBase):
    async def test_posts_does_what_send_does(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, Posts):
            missing("Posts")
        envelope = driver.envelope("posted", key="k")
        async with driver.listen("billing") as one, driver.listen("audit") as two:
            post = transport.port(envelope.type, driver.address())
            if not post(envelope):
                missing("a port that is open, in this set-up")
            await driver.send(driver.event("sent", key="k"))
            for ear in (one, two):
                came = await ear.take(2, ack=True)
                assert values(came) == ["posted", "sent"]
                assert {each.channel for each in came} == {driver.name("orders")}
                assert len({each.lane for each in came}) == 1
                assert [(each.attempt, each.delivered, each.story) for each in came] == [
                    (1, 1, None)
                ] * 2
                await ear.hears_nothing()

    async def test_posts_stays_valid_whatever_groups_come_and_go(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, Posts):
            missing("Posts")
        post = transport.port(driver.envelope(0).type, driver.address())
        if not post(driver.envelope("nobody there")):
            missing("a port that is open, in this set-up")
        async with driver.listen(driver.group(start="latest")) as ear:
            assert post(driver.envelope("first"))
            assert values(await ear.take(1, ack=True)) == ["first"]
            async with driver.listen(driver.group("guest", durable=False)) as guest:
                assert post(driver.envelope("both"))
                assert values(await guest.take(1)) == ["both"]
            assert post(driver.envelope("one"))
            assert values(await ear.take(2)) == ["both", "one"]

    async def test_posts_refused_has_reached_nobody(self, driver: Driver) -> None:
        """Where one group has no room, the others have not got it either: ``send`` does it all."""
        transport = driver.transport
        if not isinstance(transport, Posts):
            missing("Posts")
        async with driver.listen("full"), driver.listen("empty") as empty:
            post = transport.port(driver.envelope(0).type, driver.address())
            taken = 0
            while taken < 100_000 and post(driver.envelope(taken)):
                taken += 1
                await empty.take(1, ack=True)
            if taken == 100_000:
                missing("an end of the room")
            await empty.hears_nothing()

    async def test_takes_clock_holds_by_the_clock_it_was_given(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, TakesClock) or not isinstance(transport, Holds):
            missing("TakesClock and Holds")
        clock = transport.clock = _Still()
        async with driver.listen() as ear:
            item = driver.event("in an hour")
            item.due = clock.now + 3600
            await driver.send(item)
            await ear.hears_nothing()
            clock.now += 3600
            assert values(await ear.take(1)) == ["in an hour"]


class _Still(SystemClock):
    """A clock that goes only when it is told to."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 1_000_000_000.0

    def time(self) -> float:
        return self.now

    async def wait(self, event: anyio.Event, until: float | None, /) -> bool:
        await event.wait()
        return True
