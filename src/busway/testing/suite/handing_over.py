"""What a feed promises that hands single events over. Without the power, its tests are skipped."""

from __future__ import annotations

import anyio

from busway.message import Envelope
from busway.transport import Feed, HandsOver, ManagesGroups, Posts

from ._base import SuiteBase, missing
from ._driver import Driver, Ear, values

__all__ = ["HandingOver"]


_PORT = "a port that is open, in this set-up"


def _power(feed: Feed) -> HandsOver:
    if not isinstance(feed, HandsOver):
        missing("HandsOver")
    return feed


async def _hand_over(driver: Driver, ear: Ear, data: object, key: str | None = None) -> Envelope:
    """Publish while the feed waits for a single event; what it was handed."""
    transport, hands = driver.transport, _power(ear.feed)
    if not isinstance(transport, Posts):
        missing("Posts")
    sent = driver.envelope(data, key)
    post = transport.port(sent.type, driver.address())
    handed: list[Envelope | None] = []

    async def wait() -> None:
        handed.append(await driver.within(hands.hand(), "nothing was handed over"))

    taken = False
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        taken = post(sent)
        if not taken:
            tasks.cancel_scope.cancel()
    if not taken:
        missing(_PORT)
    assert handed == [sent]
    return sent


class HandingOver(SuiteBase):
    async def test_hands_over_an_event_and_done_acknowledges_it(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await _hand_over(driver, ear, "one")
            _power(ear.feed).done()
            await _hand_over(driver, ear, "two")
            _power(ear.feed).done()
        async with driver.listen() as ear:
            await ear.hears_nothing()

    async def test_hands_over_what_can_be_lent_and_is_settled_as_any_other(
        self, driver: Driver
    ) -> None:
        async with driver.listen() as ear:
            sent = await _hand_over(driver, ear, "one", key="k")
            lent = _power(ear.feed).lend()
            assert (lent.content, lent.attempt, lent.delivered) == (sent, 1, 1)
            assert (lent.due, lent.story, lent.lost) == (None, None, False)
            await ear.release([lent])
            (again,) = await ear.take(1)
            assert (again.content, again.attempt, again.delivered) == (sent, 1, 1)
            assert await ear.ack([again]) == 0
            await ear.hears_nothing()

    async def test_hands_over_and_leaving_gives_it_back(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await _hand_over(driver, ear, "one")
        async with driver.listen() as ear:
            assert values(await ear.take(1, ack=True)) == ["one"]

    async def test_hands_over_nothing_while_something_else_waits(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            hands = _power(ear.feed)
            await driver.send(driver.event("waits"))
            assert await driver.within(hands.hand(), "it waited for another") is None
            assert values(await ear.take(1, ack=True)) == ["waits"]

    async def test_hands_over_nothing_that_came_with_something_else(self, driver: Driver) -> None:
        handed: list[Envelope | None] = []
        async with driver.listen() as ear:
            hands = _power(ear.feed)

            async def wait() -> None:
                handed.append(await driver.within(hands.hand(), "it waited for another"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                await driver.send(*driver.events(["one", "two"]))
            assert handed == [None]
            assert values(await ear.take(2, ack=True)) == ["one", "two"]

    async def test_hands_over_in_order_what_is_given_back(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await _hand_over(driver, ear, "first", key="k")
            await driver.send(driver.event("second", key="k"))
            held = await ear.take(1)
            await ear.release(held)
            await ear.release([_power(ear.feed).lend()])
            assert values(await ear.take(2, ack=True)) == ["first", "second"]

    async def test_hands_over_nothing_to_who_was_cancelled(self, driver: Driver) -> None:
        """In the same turn of the event loop in which the event came."""
        handed: list[Envelope | None] = []
        transport = driver.transport
        async with driver.listen() as ear:
            hands = _power(ear.feed)
            if not isinstance(transport, Posts):
                missing("Posts")
            sent = driver.envelope("one")
            post = transport.port(sent.type, driver.address())

            async def wait() -> None:
                handed.append(await hands.hand())

            taken = False
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                taken = post(sent)
                tasks.cancel_scope.cancel()
            if not taken:
                missing(_PORT)
            if handed:
                hands.done()
            else:
                assert values(await ear.take(1, ack=True)) == ["one"]
            await ear.hears_nothing()

    async def test_hands_over_what_counts_as_pending_until_it_is_done(self, driver: Driver) -> None:
        transport = driver.transport

        async def pending() -> list[int | None]:
            assert isinstance(transport, ManagesGroups)
            return [g.pending for g in await transport.groups() if g.name == driver.name("billing")]

        async with driver.listen() as ear:
            _power(ear.feed)
            if not isinstance(transport, ManagesGroups):
                missing("ManagesGroups")
            await _hand_over(driver, ear, "one")
            assert await pending() == [1]
            _power(ear.feed).done()
            assert await pending() == [0]
