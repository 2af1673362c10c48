"""What entering and leaving a transport promises, and what must hold with many at once."""

from __future__ import annotations

import random

import anyio

from ._base import SuiteBase, kept, missing
from ._driver import Driver, Ear, values

__all__ = ["Crowd", "Lifecycle"]


class Lifecycle(SuiteBase):
    async def test_a_transport_may_be_entered_again_after_it_was_left(self, driver: Driver) -> None:
        await driver.transport.__aexit__(None, None, None)
        await driver.transport.__aenter__()
        async with driver.listen() as ear:
            await driver.send(driver.event("again"))
            assert values(await ear.take(1)) == ["again"]

    async def test_the_first_opens_and_the_last_closes(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            async with driver.transport:
                await driver.send(driver.event(1))
            await driver.send(driver.event(2))
            assert sorted(values(await ear.take(2))) == [1, 2]

    async def test_it_may_be_entered_and_left_by_different_tasks(self, driver: Driver) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(driver.transport.__aenter__)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(driver.transport.__aexit__, None, None, None)
        async with driver.listen() as ear:
            await driver.send(driver.event(1))
            assert values(await ear.take(1)) == [1]

    async def test_what_was_written_survives_an_outage(self, driver: Driver) -> None:
        if not self.keeps_when_closed:
            missing("keeps_when_closed")
        async with driver.listen():
            await driver.send(*driver.events(range(20)))
        async with self.outage(driver.transport):
            pass
        async with driver.listen() as ear:
            assert sorted(values(await ear.take(20))) == list(range(20))


class Crowd(SuiteBase):
    @kept
    async def test_fifty_publishers_and_members_that_come_and_go_lose_nothing(
        self, driver: Driver
    ) -> None:
        """Every event is acknowledged in the end, by one of four members that join, take a few,
        acknowledge some of them and leave, again and again, until nothing is missing."""
        sent = {f"{publisher}/{n}" for publisher in range(50) for n in range(6)}
        done: set[str] = set()
        async with driver.listen():
            pass  # the group exists before the first event

        async def publish(publisher: int) -> None:
            for n in range(6):
                key = None if n % 2 else f"k{publisher % 7}"
                await driver.send(driver.event(f"{publisher}/{n}", key=key))

        async def consume(seed: int) -> None:
            chance = random.Random(seed)
            while done != sent:
                with anyio.move_on_after(driver.silence):
                    async with driver.listen() as ear:
                        for _ in range(4):
                            got = await ear.receive(chance.randint(1, 9))
                            some = chance.sample(got, chance.randint(0, len(got)))
                            # Cut short, a broker may have carried it out, and nobody would know.
                            with anyio.CancelScope(shield=True):
                                await ear.ack(some)
                            done.update(values(some))

        with anyio.move_on_after(4 * driver.patience):
            async with anyio.create_task_group() as tasks:
                for seed in range(4):
                    tasks.start_soon(consume, seed)
                for publisher in range(50):
                    tasks.start_soon(publish, publisher)
        assert done == sent, f"{len(sent - done)} lost: {sorted(sent - done)[:5]}"

    @kept
    async def test_fifty_publishers_and_steady_members_make_no_duplicate(
        self, driver: Driver
    ) -> None:
        sent = {f"{publisher}/{n}" for publisher in range(50) for n in range(6)}
        came: list[str] = []

        async def publish(publisher: int) -> None:
            await driver.send(*(driver.event(f"{publisher}/{n}") for n in range(6)))

        async def consume(ear: Ear, scope: anyio.CancelScope) -> None:
            while True:
                got = await ear.receive(5)
                came.extend(values(got))
                assert await ear.ack(got) == 0
                if len(came) >= len(sent):
                    scope.cancel()

        async with driver.listen() as one, driver.listen() as two:
            with anyio.move_on_after(4 * driver.patience):
                async with anyio.create_task_group() as tasks:
                    for ear in (one, two):
                        tasks.start_soon(consume, ear, tasks.cancel_scope)
                    for publisher in range(50):
                        tasks.start_soon(publish, publisher)
            assert sorted(came) == sorted(sent)
            await one.hears_nothing()
            await two.hears_nothing()
