"""What the members of one group share, and what leaving gives back."""

from __future__ import annotations

import anyio

from busway.transport import Delivery

from .._checkpoints import cancelled_at_every_checkpoint
from ._base import SuiteBase, kept
from ._driver import Driver, Ear, values

__all__ = ["Members"]


class Members(SuiteBase):
    @kept
    async def test_inside_a_group_each_event_goes_to_one_member_at_a_time(
        self, driver: Driver
    ) -> None:
        async with driver.listen() as one:
            await driver.send(*driver.events(range(10)))
            held = await one.take(5)
            async with driver.listen() as two:
                await driver.send(*driver.events(range(10, 20)))
                holders: dict[object, Delivery] = {values([each])[0]: each for each in held}
                await _hear_all(driver, [one, two], holders, 20)

    @kept
    async def test_leaving_gives_back_what_was_not_acknowledged(self, driver: Driver) -> None:
        async with driver.listen() as left:
            await driver.send(*driver.events(range(6), key="k"))
            held = await left.take(4)
            await left.ack(held[:2])
        async with driver.listen() as ear:
            assert values(await ear.take(4)) == [2, 3, 4, 5]

    @kept
    async def test_leaving_gives_back_to_a_member_that_waits(self, driver: Driver) -> None:
        came: list[Delivery] = []
        leaving = driver.listen()
        leaves = await leaving.__aenter__()
        await driver.send(*driver.events(range(3), key="k"))
        await leaves.take(3)
        async with driver.listen() as stays, anyio.create_task_group() as tasks:

            async def receive() -> None:
                came.extend(await stays.take(3))

            tasks.start_soon(receive)
            await anyio.wait_all_tasks_blocked()
            await leaving.__aexit__(None, None, None)
        assert values(came) == [0, 1, 2]

    async def test_leaving_while_another_task_receives_is_harmless(self, driver: Driver) -> None:
        async with anyio.create_task_group() as tasks, driver.listen() as ear:
            tasks.start_soon(ear.feed.receive, 1)
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        async with driver.listen() as ear:
            await driver.send(driver.event("after"))
            assert values(await ear.take(1)) == ["after"]

    async def test_leaving_raises_nothing_when_the_broker_is_gone(self, driver: Driver) -> None:
        outage = self.outage(driver.transport)
        context = driver.listen()
        ear = await context.__aenter__()
        await driver.send(driver.event("kept"))
        await ear.take(1)
        async with outage:
            await driver.within(context.__aexit__(None, None, None), "leaving did not end")

    @kept
    async def test_leaving_by_an_exception_or_a_cancellation_gives_back_too(
        self, driver: Driver
    ) -> None:
        await driver.send()
        with anyio.CancelScope() as scope:
            async with driver.listen() as ear:
                await driver.send(*driver.events(range(2), key="k"))
                await ear.take(2)
                scope.cancel()
                await anyio.sleep_forever()
        try:
            async with driver.listen() as ear:
                assert values(await ear.take(2)) == [0, 1]
                raise LookupError
        except LookupError:
            pass
        async with driver.listen() as ear:
            assert values(await ear.take(2)) == [0, 1]

    @kept
    async def test_joining_cancelled_anywhere_leaves_no_member_behind(self, driver: Driver) -> None:
        """A member that nobody reads for would keep its share for ever."""
        async with driver.listen():
            await driver.send(*driver.events(range(8)))
        for cut in cancelled_at_every_checkpoint():
            context = driver.listen()
            ear = await cut(context.__aenter__())
            if ear is not None:
                await context.__aexit__(None, None, None)
        async with driver.listen() as ear:
            assert sorted(values(await ear.take(8))) == list(range(8))


async def _hear_all(
    driver: Driver, ears: list[Ear], holders: dict[object, Delivery], count: int
) -> None:
    """Let all receive until everything came; who gets what another holds must be told by that
    one's loan."""
    with anyio.move_on_after(driver.patience):
        async with anyio.create_task_group() as tasks:

            async def receive(ear: Ear) -> None:
                while True:
                    for each in await ear.receive(3):
                        (name,) = values([each])
                        holder = holders.get(name)
                        assert holder is None or holder.lost, f"{name!r} was lent to two members"
                        holders[name] = each
                    if len(holders) == count:
                        tasks.cancel_scope.cancel()

            for ear in ears:
                tasks.start_soon(receive, ear)
    assert len(holders) == count, f"only {len(holders)} of {count} came"
