"""What the fences of a transport promise whose partitions or shards have one owner at a time."""

from __future__ import annotations

from busway.transport import Delivery

from ._base import SuiteBase, missing
from ._driver import Driver, Ear

__all__ = ["Fences"]


async def _take_one(ear: Ear) -> Delivery:
    (delivery,) = await ear.take(1)
    return delivery


def _fence(delivery: Delivery) -> int:
    if delivery.fence is None:
        missing("fences")
    return delivery.fence


class Fences(SuiteBase):
    async def test_a_later_owners_fence_is_greater(self, driver: Driver) -> None:
        await self._greater_each_time(driver, dies=False)

    async def test_the_fence_of_who_takes_over_from_a_dead_member_is_greater(
        self, driver: Driver
    ) -> None:
        await self._greater_each_time(driver, dies=True)

    async def _greater_each_time(self, driver: Driver, *, dies: bool) -> None:
        fences: list[int] = []
        async with driver.listen() as ear:
            await driver.send(driver.event("one", key="k"))
            fences.append(_fence(await _take_one(ear)))
            if dies:
                await self.abandon(driver.transport, ear.feed)
        for _ in range(2):
            async with driver.listen() as ear:
                delivery = await _take_one(ear)
                assert delivery.fence is not None, "the later owner has none"
                fences.append(delivery.fence)
        assert sorted(set(fences)) == fences

    async def test_one_owner_has_one_fence_for_the_events_of_a_key_and_its_retries(
        self, driver: Driver
    ) -> None:
        """Or what it tries again would refuse what comes after, or be refused."""
        async with driver.listen() as ear:
            await driver.send(driver.event("one", key="k"))
            first = _fence(await _take_one(ear))
            await driver.send(driver.retry("two", "billing", key="k"))
            assert (await _take_one(ear)).fence == first, "what is tried again has another"
            await driver.send(driver.event("three", key="k"))
            assert (await _take_one(ear)).fence == first, "what comes after has another"
