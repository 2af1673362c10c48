"""Where a group begins, and what is kept of it."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio

from ._base import SuiteBase, kept, missing
from ._driver import Driver, values

__all__ = ["Starts"]


class Starts(SuiteBase):
    @kept
    async def test_a_durable_group_keeps_its_place_while_nobody_listens(
        self, driver: Driver
    ) -> None:
        async with driver.listen() as ear:
            await driver.send(*driver.events(["a", "b"], key="k"))
            await ear.take(1, ack=True)
        await driver.send(driver.event("c", key="k"), driver.retry("d", "billing"))
        async with driver.listen() as ear:
            assert sorted(values(await ear.take(3, ack=True))) == ["b", "c", "d"]
            await ear.hears_nothing()

    async def test_a_group_that_is_not_durable_begins_now(self, driver: Driver) -> None:
        await driver.send(driver.event("before"))
        async with driver.listen(driver.group(durable=False)) as ear:
            await driver.send(driver.event("after"))
            assert values(await ear.take(1)) == ["after"]
            await ear.hears_nothing()

    @kept
    async def test_a_group_that_is_not_durable_is_forgotten_when_it_is_left(
        self, driver: Driver
    ) -> None:
        async with driver.listen(driver.group(durable=False)) as ear:
            await driver.send(driver.event("unread"), driver.retry("own", "billing"))
            await ear.take(1)
        await driver.send(driver.event("nobody there"))
        async with driver.listen(driver.group(durable=False)) as ear:
            await driver.send(driver.event("new"))
            assert values(await ear.take(1)) == ["new"]
            await ear.hears_nothing()

    async def test_latest_begins_with_what_comes_from_now_on(self, driver: Driver) -> None:
        await driver.send(driver.event("before"))
        async with driver.listen(driver.group(start="latest")) as ear:
            await driver.send(driver.event("after"))
            assert values(await ear.take(1)) == ["after"]
            await ear.hears_nothing()

    @kept
    async def test_start_matters_only_to_a_group_the_broker_has_never_seen(
        self, driver: Driver
    ) -> None:
        async with driver.listen(driver.group(start="latest")):
            pass
        await driver.send(driver.event("while away"))
        async with driver.listen(driver.group(start="latest")) as ear:
            assert values(await ear.take(1)) == ["while away"]

    async def test_earliest_begins_with_what_is_kept(self, driver: Driver) -> None:
        if not self.keeps_history:
            missing("keeps_history")
        await driver.send(*driver.events(range(5)))
        async with driver.listen(driver.group(start="earliest")) as ear:
            assert sorted(values(await ear.take(5))) == list(range(5))

    async def test_a_moment_begins_with_what_was_sent_then_or_later(self, driver: Driver) -> None:
        if not self.keeps_history:
            missing("keeps_history")
        await driver.send(driver.event("before"))
        await anyio.sleep(0.02)  # brokers stamp in milliseconds
        moment = datetime.now(UTC)
        await driver.send(driver.event("after"))
        async with driver.listen(driver.group(start=moment)) as ear:
            assert values(await ear.take(1)) == ["after"]
            await ear.hears_nothing()
