"""What each optional power of a feed promises. Without the power, its tests are skipped."""

from __future__ import annotations

import time

import anyio

from busway.transport import (
    Extends,
    Follows,
    Moves,
    Redelivers,
    Story,
)

from .._checkpoints import cancelled_at_every_checkpoint
from ._base import SuiteBase, missing
from ._driver import Driver, value, values

__all__ = ["FeedPowers"]


class FeedPowers(SuiteBase):
    async def test_redelivers_hands_it_out_again_with_the_next_attempt_and_the_story(
        self, driver: Driver
    ) -> None:
        async with driver.listen() as ear:
            if not isinstance(ear.feed, Redelivers):
                missing("Redelivers")
            await driver.send(*driver.events(["again", "next"], key="k"))
            (first,) = await ear.take(1)
            story = Story("billing", "charge", attempts=1, kind="ValueError", reason="no")
            again_at = time.time() + 0.2
            await ear.feed.redeliver(first, 0.2, story)
            assert values(await ear.take(1, ack=True)) == ["next"], "the lane is free meanwhile"
            (second,) = await ear.take(1)
            assert time.time() >= again_at
            assert (value(second), second.attempt, second.story) == ("again", 2, story)
            assert await ear.ack([second]) == 0
            await ear.hears_nothing()

    async def test_redelivers_twice_or_after_the_ack_makes_no_second_copy(
        self, driver: Driver
    ) -> None:
        async with driver.listen() as ear:
            if not isinstance(ear.feed, Redelivers):
                missing("Redelivers")
            await driver.send(*driver.events(["again", "done"], key="k"))
            first, done = await ear.take(2)
            await ear.ack([done])
            for each in (first, first, done):
                await ear.feed.redeliver(each, 0.0, Story("billing", attempts=1))
            assert values(await ear.take(1, ack=True)) == ["again"]
            await ear.hears_nothing()

    async def test_moves_sends_and_acknowledges_both(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            if not isinstance(ear.feed, Moves):
                missing("Moves")
            await driver.send(driver.event("moved"))
            (held,) = await ear.take(1)
            assert await ear.feed.move(held, driver.retry("moved", "billing"))
            (again,) = await ear.take(1, ack=True)
            assert (value(again), again.attempt) == ("moved", 2)
            await ear.hears_nothing()

    async def test_moves_does_neither_when_the_delivery_was_settled_before(
        self, driver: Driver
    ) -> None:
        async with driver.listen() as ear:
            if not isinstance(ear.feed, Moves):
                missing("Moves")
            await driver.send(*driver.events(["moved", "done"], key="k"))
            first, done = await ear.take(2)
            await ear.ack([done])
            item = driver.retry("moved", "billing")
            assert await ear.feed.move(first, item)
            assert not await ear.feed.move(first, item)
            assert not await ear.feed.move(done, driver.retry("done", "billing"))
            assert values(await ear.take(1, ack=True)) == ["moved"]
            await ear.hears_nothing()

    async def test_moves_does_neither_when_the_loan_was_lost(self, driver: Driver) -> None:
        async with driver.listen() as dead:
            if not isinstance(dead.feed, Moves):
                missing("Moves")
            await driver.send(driver.event("held"))
            (held,) = await dead.take(1)
            async with driver.listen() as living:
                await self.abandon(driver.transport, dead.feed)
                again = await living.take(1)
                assert not await dead.feed.move(held, driver.retry("moved", "billing"))
                await living.hears_nothing()
                assert await living.ack(again) == 0

    async def test_moves_cancelled_anywhere_is_both_or_neither(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            if not isinstance(ear.feed, Moves):
                missing("Moves")
            for cut in cancelled_at_every_checkpoint():
                await driver.send(driver.event(cut.at, key="k"))
                (held,) = await ear.take(1)
                moved = await cut(ear.feed.move(held, driver.retry(cut.at, "billing", key="k")))
                await ear.release([held])
                (again,) = await ear.take(1, ack=True)
                assert moved is None or again.attempt == 2
                await ear.hears_nothing()

    async def test_extends_prolongs_a_loan(self, driver: Driver) -> None:
        async with driver.listen() as ear, driver.listen() as other:
            if not isinstance(ear.feed, Extends) or not isinstance(other.feed, Extends):
                missing("Extends")
            if ear.feed.lease > 2.0:
                missing("a lease short enough to be waited for (2 s)")
            await driver.send(driver.event("long"))
            (held,) = await ear.take(1)
            for _ in range(6):
                await anyio.sleep(ear.feed.lease / 3)
                lost = list(await ear.feed.extend([held]))
                # Only with its shard or partition, which the other member has taken its share of.
                assert lost in ([], [held] if held.loan is not None and held.lost else [])
            if held.loan is not None and held.lost:
                assert values(await other.take(1)) == ["long"]
            else:
                await other.hears_nothing()
                assert await ear.ack([held]) == 0

    async def test_extends_returns_those_that_are_lost(self, driver: Driver) -> None:
        async with driver.listen() as dead:
            if not isinstance(dead.feed, Extends):
                missing("Extends")
            await driver.send(driver.event("held"))
            (held,) = await dead.take(1)
            async with driver.listen() as living:
                await self.abandon(driver.transport, dead.feed)
                await living.take(1)
                assert list(await dead.feed.extend([held])) == [held]

    async def test_follows_receives_what_matches_the_new_patterns(self, driver: Driver) -> None:
        async with driver.listen(driver.group(start="latest")) as ear:
            if not isinstance(ear.feed, Follows):
                missing("Follows")
            await ear.feed.follow(driver.group(channels=("orders", "users")))
            await driver.send(driver.event("o"), driver.event("u", channel="users"))
            assert sorted(values(await ear.take(2, ack=True))) == ["o", "u"]

    async def test_follows_wakes_a_receive_that_waits(self, driver: Driver) -> None:
        came: list[object] = []
        await driver.send(driver.event("before", channel="users"))
        async with driver.listen(driver.group(start="latest")) as ear:
            feed = ear.feed
            if not isinstance(feed, Follows):
                missing("Follows")

            async def receive() -> None:
                came.extend(values(await ear.take(1)))

            # A skip raised inside of the task group would end pytest's own event loop.
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive)
                await anyio.wait_all_tasks_blocked()
                await feed.follow(driver.group(channels=("orders", "users")))
                await driver.send(driver.event("u", channel="users"))
        assert came == ["u"]

    async def test_follows_receives_no_more_what_matches_none(self, driver: Driver) -> None:
        async with driver.listen(driver.group(channels=("orders", "users"))) as ear:
            if not isinstance(ear.feed, Follows):
                missing("Follows")
            await driver.send(driver.event("u1", channel="users"))
            await ear.take(1, ack=True)
            await ear.feed.follow(driver.group(channels=("orders",)))
            await driver.send(driver.event("u2", channel="users"), driver.event("o"))
            assert values(await ear.take(1, ack=True)) == ["o"]
            await ear.hears_nothing()

    async def test_follows_keeps_what_is_lent(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            if not isinstance(ear.feed, Follows):
                missing("Follows")
            await driver.send(*driver.events(range(4)))
            held = await ear.take(4)
            await ear.feed.follow(driver.group(channels=("orders", "users")))
            await ear.hears_nothing()
            assert await ear.ack(held) == 0

    async def test_follows_cancelled_anywhere_can_be_asked_again(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            if not isinstance(ear.feed, Follows):
                missing("Follows")
            for cut in cancelled_at_every_checkpoint():
                wider = driver.group(channels=("orders", f"users{cut.at}"))
                await cut(ear.feed.follow(wider))
                await ear.feed.follow(wider)
                await driver.send(driver.event("u", channel=f"users{cut.at}"), driver.event("o"))
                assert sorted(values(await ear.take(2, ack=True))) == ["o", "u"]
