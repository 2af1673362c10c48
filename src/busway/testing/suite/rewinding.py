"""What the power ``Rewinds`` promises: a group's place, moved while nobody listens in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any

import anyio
import pytest

from busway.errors import TransportError
from busway.transport import Rewinds, Start

from ._base import SuiteBase, missing
from ._driver import Driver, values

__all__ = ["Rewinding"]


def rewinding(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """A test of the power. Who lacks it may refuse to send what the test needs, too."""

    @wraps(test)
    async def run(self: Any, driver: Driver) -> None:
        if not isinstance(driver.transport, Rewinds):
            missing("Rewinds")
        await test(self, driver)

    return run


class Rewinding(SuiteBase):
    @rewinding
    async def test_rewinds_moves_a_group_to_what_is_kept_or_to_now(self, driver: Driver) -> None:
        if not self.keeps_history:
            missing("keeps_history")
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(3), key="k"))
            await ear.take(3, ack=True)
        await _move(driver, "earliest")
        async with driver.listen() as ear:
            assert values(await ear.take(3)) == [0, 1, 2]
        await _move(driver, "latest")
        async with driver.listen() as ear:
            await ear.hears_nothing()

    @rewinding
    async def test_rewinds_moves_a_group_to_a_moment(self, driver: Driver) -> None:
        if not self.keeps_history:
            missing("keeps_history")
        async with driver.listen() as ear:
            await driver.send(driver.event("before"))
            await anyio.sleep(0.02)  # brokers stamp in milliseconds
            moment = datetime.now(UTC)
            await driver.send(driver.event("after"))
            await ear.take(2, ack=True)
        await _move(driver, moment)
        async with driver.listen() as ear:
            assert values(await ear.take(1)) == ["after"]
            await ear.hears_nothing()

    @rewinding
    async def test_rewinds_loses_nothing_that_waits(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(4), key="k"))
            await ear.take(1, ack=True)
        await _move(driver, "earliest")
        async with driver.listen() as ear:
            wanted = range(4) if self.keeps_history else range(1, 4)
            assert values(await ear.take(len(wanted))) == list(wanted)

    @rewinding
    async def test_rewinds_only_among_the_events(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await driver.send(driver.event("event"), driver.retry("again", "billing"))
            await ear.take(2)
        await _move(driver, "latest")
        async with driver.listen() as ear:
            assert values(await ear.take(1)) == ["again"]
            await ear.hears_nothing()

    @rewinding
    async def test_rewinds_one_group_only(self, driver: Driver) -> None:
        async with driver.listen(), driver.listen("audit") as ear:
            await driver.send(*driver.events(range(3), key="k"))
            await ear.take(1, ack=True)
        await _move(driver, "latest")
        async with driver.listen("audit") as ear:
            assert values(await ear.take(2)) == [1, 2]
        await _move(driver, "earliest")
        async with driver.listen("audit") as ear:
            assert values(await ear.take(2)) == [1, 2]
            await ear.hears_nothing()

    @rewinding
    async def test_rewinds_among_channels_that_nobody_had_listened_to(self, driver: Driver) -> None:
        """They appeared while the group had no member: it would find them when it has one."""
        async with driver.listen(driver.group(channels=None)) as ear:
            await driver.send(driver.event(0))
            await ear.take(1, ack=True)
        await driver.send(driver.event("before", channel="parcels"))
        await _move(driver, "latest")
        await driver.send(driver.event("after", channel="parcels"))
        async with driver.listen(driver.group(channels=None)) as ear:
            assert values(await ear.take(1)) == ["after"]
            await ear.hears_nothing()

    @rewinding
    async def test_rewinds_nothing_while_a_member_listens_nor_what_there_is_not(
        self, driver: Driver
    ) -> None:
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(2), key="k"))
            await ear.take(1)
            with pytest.raises(TransportError) as refusal:
                await _move(driver, "latest")
            assert not refusal.value.retryable
        async with driver.listen() as ear:
            assert values(await ear.take(2)) == [0, 1]
        with pytest.raises(TransportError) as refusal:
            await _move(driver, "latest", "nobody")
        assert not refusal.value.retryable


async def _move(driver: Driver, to: Start, group: str = "billing") -> None:
    assert isinstance(driver.transport, Rewinds)
    await driver.transport.rewind(driver.name(group), to)
