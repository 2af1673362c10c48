"""What every power promises that waits for a broker. See ``deadlines``."""

from __future__ import annotations

from typing import Any

import anyio

from busway.transport import (
    Address,
    Announces,
    Browses,
    Charts,
    Discards,
    Extends,
    Follows,
    Live,
    Located,
    ManagesGroups,
    Moves,
    Purpose,
    Redelivers,
    Rewinds,
    Story,
)

from ._answers import again, answered, made_in
from ._base import SuiteBase, missing
from ._driver import Driver, Ear, value, values

__all__ = ["PowerDeadlines"]


class PowerDeadlines(SuiteBase):
    async def test_redelivers_that_is_not_answered_ends(self, driver: Driver) -> None:
        """Made again, it makes no second copy."""
        silence = self.stalled(driver.transport)
        async with driver.listen() as ear:
            feed = ear.feed
            if not isinstance(feed, Redelivers):
                missing("Redelivers")
            await driver.send(driver.event("again"))
            (held,) = await ear.take(1)
            story = Story("billing", "charge", attempts=1)
            await made_in(silence, driver, lambda: feed.redeliver(held, 0.0, story))
            (more,) = await ear.take(1, ack=True)
            assert (value(more), more.attempt, more.story) == ("again", 2, story)
            await ear.hears_nothing(after_silence=True)

    async def test_moves_that_is_not_answered_ends(self, driver: Driver) -> None:
        """Made again, it sends no second copy, whatever it returns then."""
        silence = self.stalled(driver.transport)
        async with driver.listen() as ear:
            feed = ear.feed
            if not isinstance(feed, Moves):
                missing("Moves")
            await driver.send(driver.event("moved"))
            (held,) = await ear.take(1)
            item = driver.retry("moved", "billing")
            await made_in(silence, driver, lambda: feed.move(held, item))
            (more,) = await ear.take(1, ack=True)
            assert (value(more), more.attempt) == ("moved", 2)
            await ear.hears_nothing(after_silence=True)

    async def test_extends_that_is_not_answered_ends(self, driver: Driver) -> None:
        """Its deadline leaves time for another try before the loan runs out."""
        silence = self.stalled(driver.transport)
        async with driver.listen() as ear:
            feed = ear.feed
            if not isinstance(feed, Extends):
                missing("Extends")
            await driver.send(driver.event("held"))
            held = await ear.take(1)
            began = anyio.current_time()
            async with silence:
                await answered(driver, lambda: feed.extend(held), "extend")
                took = anyio.current_time() - began
            assert took < feed.lease / 3, f"extend took {took:.2f} s of a lease of {feed.lease} s"
            assert list(await again(driver, lambda: feed.extend(held))) == []

    async def test_follows_that_is_not_answered_ends(self, driver: Driver) -> None:
        silence = self.stalled(driver.transport)
        async with driver.listen(driver.group(start="latest")) as ear:
            feed = ear.feed
            if not isinstance(feed, Follows):
                missing("Follows")
            wider = driver.group(channels=("orders", "users"))
            await made_in(silence, driver, lambda: feed.follow(wider))
            assert await _heard(driver, ear, "u", channel="users") == ["u"]

    async def test_manages_groups_at_a_broker_that_says_nothing_ends_with_a_list(
        self, driver: Driver
    ) -> None:
        transport = driver.transport
        if not isinstance(transport, ManagesGroups):
            missing("ManagesGroups")
        silence = self.stalled(transport)
        async with driver.listen() as ear:
            states = await made_in(silence, driver, transport.groups)
            assert ear.group.name in [each.name for each in states]

    async def test_manages_groups_at_a_broker_that_says_nothing_ends_with_one_removed(
        self, driver: Driver
    ) -> None:
        transport = driver.transport
        if not isinstance(transport, ManagesGroups):
            missing("ManagesGroups")
        silence = self.stalled(transport)
        async with driver.listen() as ear:
            name = ear.group.name
        await made_in(silence, driver, lambda: transport.remove_group(name))
        assert name not in [each.name for each in await transport.groups()]

    async def test_browses_that_is_not_answered_ends(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, Browses):
            missing("Browses")
        silence = self.stalled(transport)
        address = await _one_letter(driver)

        async def browse() -> list[Any]:
            return [value(each.content) async for each in transport.browse(address)]

        assert await made_in(silence, driver, browse) == ["dead"]

    async def test_browses_for_addresses_that_are_not_answered_ends(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, Browses):
            missing("Browses")
        silence = self.stalled(transport)
        address = await _one_letter(driver)
        group = driver.name("billing")
        found = await made_in(silence, driver, lambda: transport.addresses(Purpose.DEAD, group))
        assert list(found) == [address]

    async def test_discards_that_is_not_answered_ends(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, Discards) or not isinstance(transport, Browses):
            missing("Discards and Browses")
        silence = self.stalled(transport)
        address = await _one_letter(driver)
        (entry,) = [each async for each in transport.browse(address)]
        await made_in(silence, driver, lambda: transport.discard(address, entry.position))
        assert [each async for each in transport.browse(address)] == []

    async def test_rewinds_that_is_not_answered_ends(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, Rewinds) or not self.keeps_history:
            missing("Rewinds, or keeps_history")
        silence = self.stalled(transport)
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(3), key="k"))
            await ear.take(3, ack=True)
        await made_in(silence, driver, lambda: transport.rewind(ear.group.name, "earliest"))
        async with driver.listen() as ear:
            assert values(await ear.take(3)) == [0, 1, 2]

    async def test_announces_that_is_not_answered_ends(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, Announces):
            missing("Announces")
        silence = self.stalled(transport)
        async with driver.listen() as ear:
            group = ear.group
            members = await made_in(silence, driver, lambda: transport.announce(group))
            assert dict(members) == {group.member: group.patterns}

    async def test_charts_that_is_not_answered_ends(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, Charts):
            missing("Charts")
        mine = {driver.name("red.*"): "one"}
        recorded = await made_in(self.stalled(transport), driver, lambda: transport.chart(mine))
        assert mine.items() <= recorded.items()

    async def test_located_that_is_not_answered_ends(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, Located):
            missing("Located")
        known = await transport.location()
        location = await made_in(self.stalled(transport), driver, transport.location)
        assert location == known


async def _one_letter(driver: Driver) -> Address:
    address = driver.address(Purpose.DEAD, "billing")
    async with driver.listen():
        await driver.send(driver.outgoing(driver.envelope("dead"), address))
    return address


async def _heard(driver: Driver, ear: Ear, data: str, *, channel: str) -> list[Any]:
    """A live feed tells of a silence, once, and what was sent before it is back is missed."""
    for _ in range(2 if isinstance(driver.transport, Live) else 0):
        await driver.send(driver.event(data, channel=channel))
        try:
            return values(await ear.take(1))
        except AssertionError:
            pass
    await driver.send(driver.event(data, channel=channel))
    return values(await ear.take(1))
