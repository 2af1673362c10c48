"""What holds where many are asked for at once, as a busy bus asks.

A transport may lend them as one run (``Fresh``): the run is finished as a whole, and so is any part
of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from busway.transport import Delivery

from ._base import SuiteBase, kept
from ._driver import Driver, Ear, values

__all__ = ["Many"]

_MANY = 64


class Many(SuiteBase):
    async def test_many_come_in_order_and_are_finished_as_they_came(self, driver: Driver) -> None:
        """The feed gets back what it gave, untouched."""
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(_MANY), key="k"))
            came: list[object] = []
            for got in await _all(driver, ear):
                came += values(got)
                assert await ear.ack(got) == 0
            assert came == list(range(_MANY))
            await ear.hears_nothing()
        async with driver.listen() as ear:
            await ear.hears_nothing()

    async def test_of_many_some_are_finished_and_the_others_come_again_in_order(
        self, driver: Driver
    ) -> None:
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(_MANY), key="k"))
            held = [each for got in await _all(driver, ear) for each in got]
            assert await ear.ack([*held[1::3], *reversed(held[2::3])]) == 0
            await ear.release(held[::-3])
            again = [each for got in await _all(driver, ear, len(held[::3])) for each in got]
            assert values(again) == list(range(0, _MANY, 3))
            assert {each.attempt for each in again} == {1}
            assert await ear.ack(again) == 0
            await ear.hears_nothing()

    @kept
    async def test_of_many_those_that_nobody_finished_come_to_the_next_member(
        self, driver: Driver
    ) -> None:
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(_MANY), key="k"))
            held = [each for got in await _all(driver, ear) for each in got]
            assert await ear.ack(held[:20]) == 0
        async with driver.listen() as ear:
            rest = [each for got in await _all(driver, ear, _MANY - 20) for each in got]
            assert values(rest) == list(range(20, _MANY))
            assert await ear.ack(rest) == 0


async def _all(driver: Driver, ear: Ear, count: int = _MANY) -> list[Sequence[Delivery]]:
    """Each of what the feed gave, as it gave it, until there are so many."""
    found: list[Sequence[Delivery]] = []
    while (short := count - sum(map(len, found))) > 0:
        complaint = f"{count - short} of {count} came, and no more"
        found.append(await driver.within(ear.feed.receive(short), complaint))
    assert short == 0, f"{-short} more came than were asked for"
    return found
