"""What ``Feed.receive`` promises."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest

from busway.errors import TransportError
from busway.message import Envelope
from busway.transport import Delivery, Raw

from .._checkpoints import cancelled_at_every_checkpoint
from ._base import SuiteBase, kept, missing
from ._driver import Driver, Ear, values

__all__ = ["Receiving"]


class Receiving(SuiteBase):
    async def test_it_waits_for_at_least_one(self, driver: Driver) -> None:
        came: list[Delivery] = []
        async with driver.listen() as ear, anyio.create_task_group() as tasks:
            await ear.hears_nothing()

            async def receive() -> None:
                came.extend(await ear.take(1))

            tasks.start_soon(receive)
            await anyio.wait_all_tasks_blocked()
            await driver.send(driver.event("late"))
        assert values(came) == ["late"]

    async def test_it_returns_at_most_limit(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(12)), *driver.events(range(12, 24), key="k"))
            seen: list[object] = []
            for limit in (1, 2, 5, 1, 7):
                with anyio.move_on_after(driver.patience):
                    got = await ear.feed.receive(limit)
                    assert 1 <= len(got) <= limit, f"receive({limit}) returned {len(got)}"
                    seen += values(got)
            rest = await ear.take(24 - len(seen))
        assert sorted([*seen, *values(rest)], key=str) == sorted(range(24), key=str)

    async def test_it_returns_deliveries_of_one_lane_in_the_order_they_were_sent(
        self, driver: Driver
    ) -> None:
        async with driver.listen() as ear:
            for n in range(40):
                await driver.send(driver.event(n, key=f"k{n % 3}"))
            came = await ear.take(40, limit=6)
        lanes: dict[object, list[int]] = {}
        for delivery in came:
            if delivery.lane is not None:
                lanes.setdefault(delivery.lane, []).extend(values([delivery]))
        for lane, order in lanes.items():
            assert order == sorted(order), f"lane {lane}: {order}"

    async def test_a_key_always_has_the_same_lane(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await driver.send(*(driver.event(n, key=f"k{n % 2}") for n in range(8)))
            came = await ear.take(8)
        lanes = {key: {each.lane for each in came if _key(each) == key} for key in ("k0", "k1")}
        for key, named in lanes.items():
            assert len(named) == 1, f"{key}: {named}"
            assert None not in named, f"{key} has no lane"

    async def test_a_delivery_names_the_channel_it_lay_in(self, driver: Driver) -> None:
        async with driver.listen(driver.group(channels=("orders", "users"))) as ear:
            await driver.send(driver.event("o"), driver.event("u", channel="users"))
            came = await ear.take(2)
        assert {values([each])[0]: each.channel for each in came} == {
            "o": driver.name("orders"),
            "u": driver.name("users"),
        }

    async def test_a_first_delivery_is_counted_as_the_first(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(5)))
            came = await ear.take(5)
        assert [(each.attempt, each.delivered) for each in came] == [(1, 1)] * 5

    async def test_what_is_lent_is_not_lent_again(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await driver.send(*driver.events(range(6)))
            assert sorted(values(await ear.take(6))) == list(range(6))
            await ear.hears_nothing()
            await driver.send(driver.event("next"))
            assert values(await ear.take(1)) == ["next"]

    async def test_it_is_atomic_under_cancellation(self, driver: Driver) -> None:
        """Cancelled at any place where it waits, it has lent nothing: the next call gets it."""
        async with driver.listen() as ear:
            for cut in cancelled_at_every_checkpoint():
                await driver.send(*(driver.event([cut.at, n], key="k") for n in range(4)))
                got: Sequence[Delivery] = await cut(ear.feed.receive(3)) or []
                assert not (cut.cancelled and got)
                rest = await ear.take(4 - len(got))
                assert values([*got, *rest]) == [[cut.at, n] for n in range(4)]
                assert [each.delivered for each in rest] == [1] * len(rest)
                await ear.ack([*got, *rest])
            await ear.hears_nothing()

    async def test_a_receive_cancelled_while_it_waits_loses_nothing(self, driver: Driver) -> None:
        """The event comes in the same moment in which the waiting call is cancelled, or a few
        turns of the event loop earlier."""
        async with driver.listen() as ear:
            for n in range(12):
                got: list[Delivery] = []
                async with anyio.create_task_group() as tasks:

                    async def receive(into: list[Delivery] = got) -> None:
                        into.extend(await ear.feed.receive(1))

                    tasks.start_soon(receive)
                    await anyio.wait_all_tasks_blocked()
                    await driver.send(driver.event(n))
                    for _ in range(n):
                        await anyio.lowlevel.checkpoint()
                    tasks.cancel_scope.cancel()
                came = got or await ear.take(1)
                assert values(came) == [n]
                await ear.ack(came)
            await ear.hears_nothing()

    async def test_bytes_that_are_no_envelope_come_as_raw(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await self.corrupt(driver.transport, driver.name("orders"), b"\xff\x00 no envelope")
            (delivery,) = await ear.take(1)
            assert isinstance(delivery.content, Raw)
            assert delivery.content.data == b"\xff\x00 no envelope"
            assert delivery.content.reason
            assert await ear.ack([delivery]) == 0

    async def test_bytes_that_are_no_envelope_stop_nothing(self, driver: Driver) -> None:
        async with driver.listen() as ear:
            await driver.send(driver.event(1))
            await self.corrupt(driver.transport, driver.name("orders"), b"{")
            await driver.send(driver.event(2))
            came = values(await ear.take(3))
        assert sorted(map(repr, came)) == sorted(map(repr, [1, b"{", 2]))

    @kept
    async def test_what_was_lent_to_a_member_that_is_gone_comes_again(self, driver: Driver) -> None:
        async with driver.listen() as dead:
            await driver.send(*driver.events(range(4)), driver.event(4, key="k"))
            held = await dead.take(5)
            async with driver.listen() as living:
                await self.abandon(driver.transport, dead.feed)
                again = await living.take(5)
                assert sorted(values(again)) == sorted(values(held))
                assert {each.attempt for each in again} == {1}
                assert await living.ack(again) == 0
                await living.hears_nothing()

    async def test_what_comes_again_from_a_member_that_is_gone_is_counted(
        self, driver: Driver
    ) -> None:
        if not self.counts_deliveries:
            missing("counts_deliveries")
        async with driver.listen() as dead:
            await driver.send(driver.event("held"))
            await dead.take(1)
            await driver.send(driver.event("new"))
            async with driver.listen() as living:
                await self.abandon(driver.transport, dead.feed)
                again = await living.take(2)
        counts = {str(values([each])[0]): each.delivered for each in again}
        assert counts["held"] > 1
        assert counts["new"] == 1

    @kept
    async def test_a_broker_that_breaks_raises_transport_error_and_comes_back(
        self, driver: Driver
    ) -> None:
        async with driver.listen() as ear:
            await driver.send(driver.event(1))
            assert values(await ear.take(1, ack=True)) == [1]
            async with self.outage(driver.transport):
                with pytest.raises(TransportError) as outage, anyio.fail_after(driver.patience):
                    await ear.feed.receive(1)
                assert outage.value.retryable
            await driver.send(driver.event(2))
            assert values(await _after_outage(driver, ear)) == [2]


async def _after_outage(driver: Driver, ear: Ear) -> list[Delivery]:
    """Call again, as the core does, until the adapter has its connection back."""
    with anyio.move_on_after(driver.patience):
        while True:
            try:
                return list(await ear.feed.receive(1))
            except TransportError:
                await anyio.lowlevel.checkpoint()
    raise AssertionError("receive never worked again after the outage")


def _key(delivery: Delivery) -> str | None:
    return delivery.content.key if isinstance(delivery.content, Envelope) else None
