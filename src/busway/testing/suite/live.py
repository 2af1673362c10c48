"""What the power ``Live`` promises. Without it, its tests are skipped."""

from __future__ import annotations

import time

import anyio
import anyio.lowlevel

from busway.errors import TransportError
from busway.transport import Live, NotWritten, Purpose

from ._base import SuiteBase, missing
from ._driver import Driver, values

__all__ = ["LivePower"]


class LivePower(SuiteBase):
    async def test_live_tells_every_member_of_a_group(self, driver: Driver) -> None:
        _only_live(driver)
        async with driver.listen() as one, driver.listen() as two:
            await driver.send(*driver.events(range(5), key="k"))
            for ear in (one, two):
                assert values(await ear.take(5, ack=True)) == list(range(5))
                await ear.hears_nothing()

    async def test_live_keeps_nothing_for_who_comes_later(self, driver: Driver) -> None:
        _only_live(driver)
        async with driver.listen() as ear:
            await driver.send(*driver.events(["handled", "lent", "waiting"], key="k"))
            await ear.take(1, ack=True)
            await ear.take(1)
        await driver.send(driver.event("nobody there"))
        async with driver.listen() as ear:
            await ear.hears_nothing()
            await driver.send(driver.event("new"))
            assert values(await ear.take(1)) == ["new"]

    async def test_live_written_means_taken_were_it_for_nobody(self, driver: Driver) -> None:
        _only_live(driver)
        await driver.send(*driver.events(range(3)))

    async def test_live_takes_nothing_that_would_have_to_be_kept(self, driver: Driver) -> None:
        _only_live(driver)
        async with driver.listen() as ear:
            later = driver.event("later")
            later.due = time.time() + 3600
            letter = driver.outgoing(driver.envelope(0), driver.address(Purpose.DEAD, "billing"))
            items = [later, driver.retry("again", "billing"), letter, driver.event("now")]
            outcomes = await driver.transport.send(items, timeout=driver.patience)
            assert [type(each) for each in outcomes[:3]] == [NotWritten] * 3
            assert values(await ear.take(1)) == ["now"]
            await ear.hears_nothing()

    async def test_live_hears_again_after_an_outage(self, driver: Driver) -> None:
        """What was published meanwhile is missed, and stops nothing."""
        _only_live(driver)
        async with driver.listen() as ear:
            async with self.outage(driver.transport):
                pass
            came: list[object] = []

            async def receive() -> None:
                while not came:
                    try:
                        came.extend(values(await ear.feed.receive(1)))
                    except TransportError:
                        await anyio.lowlevel.checkpoint()

            with anyio.move_on_after(driver.patience):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(receive)
                    while not came:
                        await driver.transport.send([driver.event("back")], timeout=driver.patience)
                        await anyio.sleep(driver.silence / 10)
            assert came == ["back"]


def _only_live(driver: Driver) -> None:
    if not isinstance(driver.transport, Live):
        missing("Live")
