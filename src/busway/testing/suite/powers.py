"""What each optional power of a transport promises. Without it, its tests are skipped."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

import pytest

from busway.errors import OptionError, TransportError
from busway.transport import (
    Announces,
    Browsed,
    Browses,
    Charts,
    Discards,
    Holds,
    Located,
    ManagesGroups,
    Outgoing,
    Purpose,
    Raw,
    Reports,
    Story,
)

from ._base import SuiteBase, kept, missing
from ._driver import Driver, value, values

__all__ = ["Powers"]


class Powers(SuiteBase):
    async def test_holds_keeps_an_item_until_it_is_due(self, driver: Driver) -> None:
        if not isinstance(driver.transport, Holds):
            missing("Holds")
        async with driver.listen() as ear:
            # A channel that is made first may take longer than the wait.
            await driver.send(driver.event("before", key="k"))
            await ear.take(1, ack=True)
            due = time.time() + 0.3
            item = driver.event("later", key="k")
            item.due = due
            await driver.send(item, driver.event("now", key="k"))
            assert values(await ear.take(1)) == ["now"], "others pass meanwhile"
            assert values(await ear.take(1)) == ["later"]
            assert time.time() >= due

    @kept
    async def test_browses_reads_an_address_in_order_and_without_effect(
        self, driver: Driver
    ) -> None:
        async with driver.listen() as ear:
            await driver.send(*_letters(driver, range(12)))
            await _browsed(driver, Purpose.DEAD)
            entries = await _browsed(driver, Purpose.DEAD)
            assert [value(each.content) for each in entries] == list(range(12))
            positions = [each.position for each in entries]
            assert positions == sorted(set(positions))
            await ear.hears_nothing()

    @kept
    async def test_browses_those_after_a_position(self, driver: Driver) -> None:
        async with driver.listen():
            await driver.send(*_letters(driver, range(5)))
        entries = await _browsed(driver, Purpose.DEAD)
        rest = await _browsed(driver, Purpose.DEAD, after=entries[2].position)
        assert [value(each.content) for each in rest] == [3, 4]
        assert await _browsed(driver, Purpose.DEAD, after=entries[4].position) == []

    async def test_browses_events_without_taking_them_from_a_group(self, driver: Driver) -> None:
        if not self.keeps_history:
            missing("keeps_history")
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(12), key="k"))
            entries = await _browsed(driver)
            assert [value(each.content) for each in entries] == list(range(12))
            rest = await _browsed(driver, after=entries[9].position)
            assert [value(each.content) for each in rest] == [10, 11]
            assert values(await ear.take(12)) == list(range(12))

    async def test_browses_nothing_where_nobody_sent_to(self, driver: Driver) -> None:
        assert await _browsed(driver, Purpose.DEAD) == []

    async def test_browses_knows_the_addresses_that_were_sent_to(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, Browses):
            missing("Browses")
        async with driver.listen(), driver.listen("audit"):
            await driver.send(*_letters(driver, range(2)), driver.retry("again", "audit"))
        mine, other = driver.name("billing"), driver.name("audit")
        assert list(await transport.addresses(Purpose.DEAD, mine)) == [
            driver.address(Purpose.DEAD, "billing")
        ]
        assert list(await transport.addresses(Purpose.DEAD, other)) == []

    @kept
    async def test_browses_a_dead_letter_with_its_whole_story(self, driver: Driver) -> None:
        story = Story("billing", "charge", attempts=5, reason="'x'", verdict="gave up", replays=1)
        address = driver.address(Purpose.DEAD, "billing")
        raw = Raw(b"\xff", "x/y", {"a": ""}, "garbage")
        await driver.send(
            driver.outgoing(driver.envelope("dead", "k"), address, attempt=5, story=story),
            driver.outgoing(raw, address, story=story),
        )
        entries = await _browsed(driver, Purpose.DEAD)
        entries.sort(key=lambda each: -each.attempt)  # without a key there is no order
        assert [value(each.content) for each in entries] == ["dead", b"\xff"]
        assert [each.story for each in entries] == [story, story]
        assert [each.attempt for each in entries] == [5, 1]
        assert entries[1].content == raw

    async def test_discards_one_entry_and_its_neighbours_keep_their_positions(
        self, driver: Driver
    ) -> None:
        if not isinstance(driver.transport, Discards):
            missing("Discards")
        address = driver.address(Purpose.DEAD, "billing")
        await driver.send(*_letters(driver, range(3)))
        entries = await _browsed(driver, Purpose.DEAD)
        assert await driver.transport.discard(address, entries[1].position)
        assert not await driver.transport.discard(address, entries[1].position)
        assert await _browsed(driver, Purpose.DEAD) == [entries[0], entries[2]]

    async def test_manages_groups_lists_what_waits_and_what_is_lent(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, ManagesGroups):
            missing("ManagesGroups")
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(5), key="k"))
            await ear.take(2)
            (state,) = [each for each in await transport.groups() if each.name == ear.group.name]
            assert state.members == 1
            assert state.lag in (3, None)
            assert state.pending in (2, None)

    async def test_manages_groups_forgets_one_and_what_waits_for_it(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, ManagesGroups):
            missing("ManagesGroups")
        name = driver.name("billing")
        async with driver.listen():
            await driver.send(driver.retry("old", "billing"))
            with pytest.raises(TransportError) as refusal:
                await transport.remove_group(name)
            assert not refusal.value.retryable
        assert await transport.remove_group(name)
        assert not await transport.remove_group(name)
        assert name not in [each.name for each in await transport.groups()]
        async with driver.listen(driver.group(start="latest")) as ear:
            await ear.hears_nothing()

    async def test_announces_returns_what_every_living_member_handles(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, Announces):
            missing("Announces")
        one, two = driver.group(), driver.group(channels=("orders", "users"))
        async with driver.listen(one), driver.listen(two):
            await transport.announce(one)
            both = await transport.announce(two)
            assert dict(both) == {one.member: one.patterns, two.member: two.patterns}

    async def test_charts_keeps_where_topics_lie(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, Charts):
            missing("Charts")
        red, blue = driver.name("red.*"), driver.name("blue.*")
        async with transport:
            await transport.chart({red: "one"})
        recorded = await transport.chart({blue: "two"})
        assert (recorded.get(red), recorded.get(blue)) == ("one", "two")
        assert await transport.chart({red: "one"}) == recorded

    async def test_charts_refuses_another_channel_and_records_nothing(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, Charts):
            missing("Charts")
        red, blue = driver.name("red.*"), driver.name("blue.*")
        await transport.chart({red: "one"})
        with pytest.raises(OptionError) as refusal:
            await transport.chart({blue: "two", red: "three"})
        assert all(name in str(refusal.value) for name in (red, "one", "three"))
        assert blue not in await transport.chart({})

    async def test_located_says_the_same_whenever_it_is_asked(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, Located):
            missing("Located")
        before = await transport.location()
        async with transport, driver.listen():
            await driver.send(driver.event("first"))
            assert await transport.location() == before

    async def test_located_fits_into_a_header(self, driver: Driver) -> None:
        if not isinstance(driver.transport, Located):
            missing("Located")
        location = await driver.transport.location()
        assert re.fullmatch(r"[A-Za-z0-9\-_:./]{1,128}", location), location

    async def test_reports_has_its_names_from_the_beginning(self, driver: Driver) -> None:
        transport = driver.transport
        if not isinstance(transport, Reports):
            missing("Reports")
        names = set(transport.report())
        async with driver.listen() as ear:
            await driver.send(driver.event("first"))
            await ear.take(1)
            assert set(transport.report()) == names
        assert set(transport.report()) == names

    async def test_reports_are_numbers_by_name(self, driver: Driver) -> None:
        if not isinstance(driver.transport, Reports):
            missing("Reports")
        await driver.send(driver.event("first"))
        for name, number in driver.transport.report().items():
            assert re.fullmatch("[a-z][a-z_]*", name), name
            assert isinstance(number, int), name
            assert number >= 0, name


def _letters(driver: Driver, data: Iterable[object]) -> list[Outgoing]:
    address = driver.address(Purpose.DEAD, "billing")
    return [driver.outgoing(driver.envelope(each, "k"), address) for each in data]


async def _browsed(
    driver: Driver, purpose: Purpose = Purpose.EVENT, *, after: str | None = None
) -> list[Browsed]:
    if not isinstance(driver.transport, Browses):
        missing("Browses")
    address = driver.address(purpose, None if purpose is Purpose.EVENT else "billing")
    return [each async for each in driver.transport.browse(address, after=after)]
