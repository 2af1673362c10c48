"""What ``Feed.ack`` and ``Feed.release`` promise."""

from __future__ import annotations

import random

import msgspec

from busway.transport import Story

from .._checkpoints import cancelled_at_every_checkpoint
from ._base import SuiteBase, kept, missing
from ._driver import Driver, values

__all__ = ["Acking", "Releasing"]


class Acking(SuiteBase):
    async def test_what_is_acked_is_not_handed_out_again(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(5)), *driver.events(range(5, 10), key="k"))
            assert await ear.ack(await ear.take(10)) == 0
            await ear.hears_nothing()
        async with driver.listen() as ear:
            await ear.hears_nothing()

    @kept
    async def test_what_was_acked_with_more_at_hand_is_done_when_the_feed_is_left(
        self, driver: Driver
    ) -> None:
        """Whenever the broker is told: before somebody else can have it."""
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(20), key="k"))
            for _ in range(5):
                assert await ear.ack(await ear.take(2)) == 0
        async with driver.listen() as ear:
            rest = await ear.take(10)
            assert values(rest) == list(range(10, 20))
            await ear.ack(rest)
            await ear.hears_nothing()

    async def test_acks_may_come_in_any_order(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(30)))
            held = await ear.take(30)
            random.Random(7).shuffle(held)
            for begin in range(0, 30, 4):
                assert await ear.ack(held[begin : begin + 4]) == 0
        async with driver.listen() as ear:
            await ear.hears_nothing()

    @kept
    async def test_an_ack_does_not_acknowledge_an_earlier_one(self, driver: Driver) -> None:
        """The one before it, unfinished, comes again: a position alone must not jump over it."""
        async with driver.listen() as ear:
            await driver.send(*driver.events(["open", "done", "done too"], key="k"))
            _, second, third = await ear.take(3)
            await ear.ack([third, second])
        async with driver.listen() as ear:
            assert values(await ear.take(1)) == ["open"]

    async def test_ack_twice_is_harmless(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(3), key="k"))
            held = await ear.take(3)
            assert await ear.ack([held[0], held[0]]) == 0
            assert await ear.ack([held[0]]) == 0
            await ear.ack(held[1:])
            await driver.send(driver.event("next", key="k"))
            assert values(await ear.take(1)) == ["next"]

    @kept
    async def test_a_late_ack_is_harmless_and_tells_how_many_loans_were_lost(
        self, driver: Driver
    ) -> None:
        async with driver.listen() as dead:
            await driver.send(*driver.events(range(3)))
            held = await dead.take(3)
            assert await dead.ack(held[:1]) == 0
            async with driver.listen() as living:
                await self.abandon(driver.transport, dead.feed)
                again = await living.take(2)
                assert await dead.ack(held) == 2
                assert await living.ack(again) == 0
                await living.hears_nothing()

    @kept
    async def test_an_ack_after_its_feed_was_left_is_harmless(self, driver: Driver) -> None:
        async with driver.listen() as left:
            await driver.send(driver.event("mine"))
            held = await left.take(1)
        async with driver.listen() as ear:
            again = await ear.take(1)
            await left.ack(held)
            assert await ear.ack(again) == 0

    async def test_acking_nothing_is_harmless(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            assert await ear.ack([]) == 0
            await ear.release([])

    async def test_an_ack_counts_for_its_own_group_only(self, driver: Driver) -> None:
        async with driver.listen("billing") as ear, driver.listen("audit") as other:
            await driver.send(*driver.events(range(4)))
            await ear.take(4, ack=True)
            assert sorted(values(await other.take(4))) == list(range(4))

    async def test_an_ack_cancelled_anywhere_can_be_given_again(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            for cut in cancelled_at_every_checkpoint():
                await driver.send(*driver.events([[cut.at, n] for n in range(3)], key="k"))
                held = await ear.take(3)
                lost = await cut(ear.feed.ack(held))
                if cut.cancelled:
                    assert await ear.ack(held) == 0
                else:
                    assert lost == 0
        async with driver.listen() as ear:
            await ear.hears_nothing()


class Releasing(SuiteBase):
    async def test_what_is_released_comes_again(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(4)))
            await ear.release(await ear.take(4))
            again = await ear.take(4)
            assert sorted(values(again)) == list(range(4))
            assert await ear.ack(again) == 0
            await ear.hears_nothing()

    @kept
    async def test_what_is_released_comes_to_any_member(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(3), key="k"))
            await ear.release(await ear.take(3))
        async with driver.listen() as other:
            assert values(await other.take(3)) == [0, 1, 2]

    async def test_what_is_released_comes_again_in_order(self, driver: Driver) -> None:
        """Whatever the order in which it is given back, and before what was not lent yet."""
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(6), key="k"))
            held = await ear.take(4)
            await ear.release([held[3], held[1]])
            await ear.release([held[2]])
            assert values(await ear.take(2)) == [1, 2]
            assert values(await ear.take(3)) == [3, 4, 5]
            assert await ear.ack(held[:1]) == 0

    @kept
    async def test_what_is_released_is_not_counted_as_an_attempt_nor_as_a_delivery(
        self, driver: Driver
    ) -> None:
        async with driver.listen() as ear:
            await driver.send(driver.retry("again", "billing"), driver.event("first"))
            for _ in range(3):
                held = await ear.take(2)
                seen = {str(name): each for name, each in zip(values(held), held, strict=True)}
                assert (seen["again"].attempt, seen["again"].delivered) == (2, 1)
                assert (seen["first"].attempt, seen["first"].delivered) == (1, 1)
                await ear.release(held)

    @kept
    async def test_what_is_released_after_attempts_in_place_is_between_those_sent_and_those_made(
        self, driver: Driver
    ) -> None:
        """The core raises the attempt in place; a broker need not know of it, but may."""
        story = Story(driver.name("billing"), "charge", attempts=1)
        async with driver.listen() as ear:
            item = driver.retry("again", "billing")
            item.story = story
            await driver.send(item)
            (held,) = await ear.take(1)
            held.attempt, made = held.attempt + 2, held.attempt + 2
            held.story = msgspec.structs.replace(story, attempts=made - 1)
            await ear.release([held])
            (again,) = await ear.take(1)
            assert item.attempt <= again.attempt <= made
            assert again.story is not None, "the story was lost"
            assert again.story.attempts == again.attempt - 1, "the attempt is not the story's"

    async def test_release_twice_is_harmless(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(2), key="k"))
            held = await ear.take(2)
            await ear.release([*held, *held])
            await ear.release(held)
            again = await ear.take(2)
            assert values(again) == [0, 1]
            await ear.hears_nothing()
            assert await ear.ack(again) == 0

    @kept
    async def test_a_late_release_is_harmless(self, driver: Driver) -> None:
        async with driver.listen() as dead:
            await driver.send(driver.event("held"))
            held = await dead.take(1)
            async with driver.listen() as living:
                await self.abandon(driver.transport, dead.feed)
                again = await living.take(1)
                await dead.release(held)
                await living.hears_nothing()
                assert await living.ack(again) == 0

    async def test_a_release_after_the_ack_brings_nothing_back(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await driver.send(driver.event("done"))
            held = await ear.take(1, ack=True)
            await ear.release(held)
            await ear.hears_nothing()
        async with driver.listen() as ear:
            await ear.hears_nothing()

    async def test_a_release_cancelled_anywhere_can_be_given_again(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            for cut in cancelled_at_every_checkpoint():
                await driver.send(*driver.events([[cut.at, n] for n in range(3)], key="k"))
                held = await ear.take(3)
                await cut(ear.feed.release(held))
                if cut.cancelled:
                    await ear.release(held)
                again = await ear.take(3)
                assert values(again) == [[cut.at, n] for n in range(3)]
                assert await ear.ack(again) == 0

    async def test_a_revoked_loan_is_drained_before_another_member_gets_it(
        self, driver: Driver
    ) -> None:
        """What runs may finish and is acknowledged; only then is it somebody else's turn."""
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(16)))
            held = await ear.take(16)
            loans = {id(each.loan): each.loan for each in held if each.loan is not None}
            if not loans:
                missing("loans that can be revoked")
            for each in held:
                if each.loan is not None:
                    each.loan.running += 1
            async with driver.listen() as other:
                await other.hears_nothing()
                assert await ear.ack(held) == 0
                for each in held:
                    if each.loan is not None:
                        each.loan.finished()
                await other.hears_nothing()
                await ear.hears_nothing()
