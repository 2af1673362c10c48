"""What a group gets, and what it never sees."""

from __future__ import annotations

from busway.transport import Purpose

from ._base import SuiteBase, kept
from ._driver import Driver, values

__all__ = ["Groups"]


class Groups(SuiteBase):
    async def test_entering_returns_when_the_group_exists(self, driver: Driver) -> None:
        """What is published from then on reaches it, although it receives only later."""
        async with driver.listen(driver.group(start="latest")) as ear:
            await driver.send(*driver.events(range(10)))
            assert sorted(values(await ear.take(10))) == list(range(10))

    async def test_a_channel_that_is_new_reaches_a_group_that_exists(self, driver: Driver) -> None:
        """Nobody had sent to it when the group came to be."""
        async with driver.listen(driver.group(channels=None, start="latest")) as ear:
            await driver.send(driver.event("a"), driver.event("b", channel="users"))
            assert sorted(values(await ear.take(2))) == ["a", "b"]

    async def test_a_group_gets_every_event_that_matches_its_patterns(self, driver: Driver) -> None:
        async with driver.listen(driver.group(channels=("orders", "users"))) as ear:
            await driver.send(
                driver.event("o"), driver.event("u", channel="users"), driver.event("k", key="k")
            )
            assert sorted(values(await ear.take(3))) == ["k", "o", "u"]

    async def test_every_group_gets_every_event(self, driver: Driver) -> None:
        async with driver.listen("billing") as one, driver.listen("audit") as two:
            await driver.send(*driver.events(range(20)))
            assert sorted(values(await one.take(20, ack=True))) == list(range(20))
            assert sorted(values(await two.take(20, ack=True))) == list(range(20))

    async def test_a_slow_group_does_not_hold_up_another(self, driver: Driver) -> None:
        async with driver.listen("slow") as slow, driver.listen("fast") as fast:
            for begin in range(0, 50, 10):
                await driver.send(*driver.events(range(begin, begin + 10)))
                await fast.take(10, ack=True)
            assert sorted(values(await slow.take(50))) == list(range(50))

    @kept
    async def test_its_own_retry_address_is_received(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await driver.send(driver.retry("again", "billing"))
            (delivery,) = await ear.take(1, ack=True)
            assert values([delivery]) == ["again"]
            await ear.hears_nothing()

    async def test_its_own_reply_address_is_received(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            reply = driver.outgoing(
                driver.envelope("answer"), driver.address(Purpose.REPLY, "billing")
            )
            await driver.send(reply)
            assert values(await ear.take(1)) == ["answer"]

    @kept
    async def test_another_groups_retry_is_never_seen(self, driver: Driver) -> None:
        async with driver.listen("billing") as mine, driver.listen("audit") as other:
            await driver.send(driver.retry("mine", "billing"), driver.event("end"))
            assert values(await other.take(1, ack=True)) == ["end"]
            await other.hears_nothing()
            assert sorted(values(await mine.take(2))) == ["end", "mine"]

    async def test_another_groups_reply_is_never_seen(self, driver: Driver) -> None:
        async with driver.listen("billing"), driver.listen("audit") as other:
            reply = driver.outgoing(
                driver.envelope("answer"), driver.address(Purpose.REPLY, "billing")
            )
            await driver.send(reply, driver.event("end"))
            assert values(await other.take(1)) == ["end"]
            await other.hears_nothing()

    @kept
    async def test_a_dead_letter_is_received_by_nobody(self, driver: Driver) -> None:
        async with driver.listen("billing") as mine, driver.listen("audit") as other:
            letter = driver.outgoing(
                driver.envelope("dead"), driver.address(Purpose.DEAD, "billing")
            )
            await driver.send(letter)
            await mine.hears_nothing()
            await other.hears_nothing()

    @kept
    async def test_a_group_without_patterns_gets_only_what_is_its_own(self, driver: Driver) -> None:
        async with driver.listen(driver.group(channels=())) as ear:
            await driver.send(driver.event("event"), driver.retry("mine", "billing"))
            assert values(await ear.take(1)) == ["mine"]
            await ear.hears_nothing()
