"""What every call promises that waits for a broker: it ends, also when the broker says nothing.

Each test makes one call while the broker is silent. The call raises ``TransportError`` in time, is
made again when the broker speaks, and has then done what it says. (One that asks nobody returns at
once. It has to have done what it says, too.)
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import anyio
import anyio.lowlevel

from busway.transport import Delivery, Unknown, Written

from ._answers import again, answered, ends, made_in, sent
from ._base import SuiteBase, kept
from ._driver import Driver, values

__all__ = ["Deadlines"]


class Deadlines(SuiteBase):
    async def test_connecting_to_a_broker_that_says_nothing_ends(self, driver: Driver) -> None:
        silence = self.stalled(driver.transport)
        await driver.transport.__aexit__(None, None, None)
        await made_in(silence, driver, driver.transport.__aenter__)
        async with driver.listen() as ear:
            await driver.send(driver.event("connected"))
            assert values(await ear.take(1)) == ["connected"]

    async def test_disconnecting_from_a_broker_that_says_nothing_ends_and_raises_nothing(
        self, driver: Driver
    ) -> None:
        async with driver.listen():
            await driver.send(driver.event(1))
        async with self.stalled(driver.transport):
            await ends(driver, lambda: driver.transport.__aexit__(None, None, None))
        await again(driver, driver.transport.__aenter__)

    async def test_a_send_that_is_not_answered_is_never_called_written(
        self, driver: Driver
    ) -> None:
        """And what is called not written is not there."""
        silence = self.stalled(driver.transport)
        async with driver.listen() as ear:
            async with silence:
                items = driver.events(range(3), key="k")
                began = anyio.current_time()
                outcomes = await driver.within(
                    driver.transport.send(items, timeout=0.2), "send(timeout=0.2) did not return"
                )
                took = anyio.current_time() - began
            assert took <= 0.2 + driver.patience
            assert len(outcomes) == 3
            assert not [each for each in outcomes if isinstance(each, Written)]
            possible = {n for n, each in enumerate(outcomes) if isinstance(each, Unknown)}
            await again(driver, lambda: sent(driver, "end"))
            came: list[Any] = []
            while "end" not in came:
                came += values(await ear.take(1, ack=True))
            assert set(came) - {"end"} <= possible

    @kept
    async def test_joining_a_group_at_a_broker_that_says_nothing_ends(self, driver: Driver) -> None:
        silence = self.stalled(driver.transport)
        async with driver.listen():
            await driver.send(*driver.events(range(8)))
        group = driver.group()
        async with AsyncExitStack() as joined:
            ear = await made_in(
                silence, driver, lambda: joined.enter_async_context(driver.listen(group))
            )
            assert sorted(values(await ear.take(8))) == list(range(8))

    async def test_leaving_a_group_at_a_broker_that_says_nothing_ends_and_raises_nothing(
        self, driver: Driver
    ) -> None:
        silence = self.stalled(driver.transport)
        context = driver.listen()
        ear = await context.__aenter__()
        await driver.send(driver.event("kept"))
        await ear.take(1)
        async with silence:
            await ends(driver, lambda: context.__aexit__(None, None, None))

    async def test_a_receive_goes_on_after_a_silence(self, driver: Driver) -> None:
        silence = self.stalled(driver.transport)
        async with driver.listen() as ear:
            await driver.send(driver.event("before"))
            assert values(await ear.take(1, ack=True)) == ["before"]
            came: list[Any] = []

            async def receive() -> None:
                got = await again(driver, lambda: ear.feed.receive(1))
                came.extend(values(got))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive)
                await anyio.lowlevel.checkpoint()
                async with silence:
                    await anyio.sleep(driver.silence)
                await again(driver, lambda: sent(driver, "after"))
            assert came == ["after"]

    async def test_what_waits_during_a_silence_is_received_after_it(self, driver: Driver) -> None:
        """Also what the broker handed out to a call that it never answered."""
        silence = self.stalled(driver.transport)
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(3), key="k"))
            async with silence:
                got: list[Any] = []
                with anyio.move_on_after(driver.silence):
                    got = await answered(driver, lambda: ear.feed.receive(3), "receive")
            came = [each for held in got for each in values(held)]
            with anyio.move_on_after(driver.patience):
                while len(came) < 3:
                    more = await again(driver, lambda: ear.feed.receive(3))
                    came += values(more)
                    await ear.ack(more)
            assert came == [0, 1, 2]

    async def test_an_ack_that_is_not_answered_ends(self, driver: Driver) -> None:
        silence = self.stalled(driver.transport)
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(3), key="k"))
            held = await ear.take(3)
            await made_in(silence, driver, lambda: ear.feed.ack(held))
            await ear.hears_nothing(after_silence=True)
        async with driver.listen() as ear:
            await ear.hears_nothing()

    async def test_a_release_that_is_not_answered_ends(self, driver: Driver) -> None:
        silence = self.stalled(driver.transport)
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(3), key="k"))
            held = await ear.take(3)
            await made_in(silence, driver, lambda: ear.feed.release(held))
            back: list[Delivery] = []
            with anyio.move_on_after(driver.patience):
                while len(back) < 3:  # a receive may tell of the silence first
                    back += await again(driver, lambda: ear.feed.receive(3))
            assert values(back) == [0, 1, 2]
            assert await ear.ack(back) == 0
        async with driver.listen() as ear:
            await ear.hears_nothing()
