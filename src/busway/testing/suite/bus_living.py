"""Processes that start, stop and share groups, on any transport."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from busway import Bus, RequestTimeout
from busway.transport import Announces

from ._base import missing
from ._bus_base import BusSuiteBase
from ._town import Town, quickly

__all__ = ["Living", "Sharing"]


class Sharing(BusSuiteBase):
    async def test_members_of_a_group_share_its_events(self, town: Town) -> None:
        seen = town.seen()
        one, two = town.bus(), town.bus()
        for bus in (one, two):
            bus.add(town.noting(seen), town.topic, group=town.group("billing"))
        async with one, two:
            await town.publish(one, range(40))
            await seen.count(40)
            await one.drain(timeout=town.patience)
            await two.drain(timeout=town.patience)
        assert sorted(data for data, _ in seen.items) == list(range(40))

    async def test_every_group_gets_every_event(self, town: Town) -> None:
        first, second = town.seen(), town.seen()
        one, two = town.bus(), town.bus()
        one.add(town.noting(first), town.topic, group=town.group("a"))
        two.add(town.noting(second), town.topic, group=town.group("b"))
        async with one, two:
            await town.publish(one, range(10))
            await first.count(10)
            await second.count(10)

    async def test_broadcast_reaches_every_process(self, town: Town) -> None:
        first, second = town.seen(), town.seen()
        one, two = town.bus(), town.bus()
        one.add(town.noting(first), town.topic, broadcast=True, group=town.group("cache"))
        two.add(town.noting(second), town.topic, broadcast=True, group=town.group("cache"))
        async with one, two:
            await town.publish(one, range(5))
            assert sorted(await first.count(5)) == [(n, 1) for n in range(5)]
            assert sorted(await second.count(5)) == [(n, 1) for n in range(5)]

    async def test_members_with_different_patterns_lose_nothing(self, town: Town) -> None:
        if not isinstance(town.transport, Announces):
            missing("Announces")
        seen = town.seen()
        one, two = town.bus(), town.bus()
        one.add(town.noting(seen), f"{town.channel}.placed", group=town.group("billing"))
        two.add(town.noting(seen), f"{town.channel}.paid", group=town.group("billing"))
        async with one, two:
            for n in range(10):
                await one.publish(f"{town.channel}.placed", ["placed", n])
                await one.publish(f"{town.channel}.paid", ["paid", n])
            await seen.count(20)
        came = sorted(str(data) for data, _ in seen.items)
        assert came == sorted(str([kind, n]) for kind in ("placed", "paid") for n in range(10))

    async def test_what_only_another_member_handles_is_never_acknowledged_unhandled(
        self, town: Town
    ) -> None:
        """The other joined a moment ago, and is paused while the first receives."""
        if not isinstance(town.transport, Announces):
            missing("Announces")
        seen = town.seen()
        one, two = town.bus(), town.bus()
        one.add(town.noting(seen), f"{town.channel}.placed", group=town.group("billing"))
        other = two.add(town.noting(seen), f"{town.channel}.paid", group=town.group("billing"))
        async with one, two:
            other.pause()
            for n in range(8):
                await one.publish(f"{town.channel}.paid", n)
            await anyio.sleep(town.silence)  # as long as the first takes to receive them
            other.resume()
            assert sorted(await seen.count(8)) == [(n, 1) for n in range(8)]

    async def test_a_request_is_answered_from_another_process(self, town: Town) -> None:
        one, two = town.bus(), town.bus()

        async def double(data: Any) -> int:
            return int(data) * 2

        two.add(double, town.topic, group=town.group("maths"))
        async with one, two:
            assert await one.request(town.topic, 21, timeout=town.patience) == 42

    async def test_a_request_that_nobody_answers_times_out(self, town: Town) -> None:
        async with town.bus() as bus:
            with pytest.raises(RequestTimeout):
                await bus.request(town.topic, 1, timeout=0.05)

    async def test_a_delayed_event_is_not_handled_before_its_time(self, town: Town) -> None:
        seen = town.seen()
        bus = town.bus()

        async def handle(data: Any) -> None:
            seen.add((data, anyio.current_time()))

        bus.add(handle, town.topic, group=town.group("billing"))
        async with bus:
            # What is made first, a channel or where what is delayed waits, may take longer.
            await town.publish(bus, ["before"], key="k", delay=0.2)
            await seen.count(1)
            began = anyio.current_time()
            await town.publish(bus, ["later"], key="k", delay=0.2)
            await town.publish(bus, ["now"], key="k")
            _, (first, _), (second, at) = await seen.count(3)
        assert (first, second) == ("now", "later")
        assert at - began >= 0.19


class Living(BusSuiteBase):
    async def test_stop_while_busy_and_start_again_loses_nothing(self, town: Town) -> None:
        seen, entered = town.seen(), anyio.Event()

        async def handle(data: Any) -> None:
            entered.set()
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            seen.add(data)

        bus = town.bus()
        bus.add(handle, town.topic, group=town.group("billing"), concurrency=4)
        await bus.start()
        await town.publish(bus, range(100))
        with anyio.fail_after(town.patience):
            await entered.wait()
        await bus.stop()
        async with bus:
            assert set(await seen.until(lambda items: len(set(items)) == 100)) == set(range(100))

    async def test_what_is_cancelled_at_the_stop_comes_again_with_no_attempt_used(
        self, town: Town
    ) -> None:
        seen, stuck = town.seen(), anyio.Event()
        bus, other = town.bus(retry=quickly(attempts=1)), town.bus(retry=quickly(attempts=1))

        async def hang(data: Any) -> None:
            stuck.set()
            await anyio.sleep_forever()

        bus.add(hang, town.topic, group=town.group("billing"))
        other.add(town.noting(seen), town.topic, group=town.group("billing"))
        await bus.start()
        await town.publish(bus, ["a", "b"], key="k")
        with anyio.fail_after(town.patience):
            await stuck.wait()
        await bus.stop(grace=0)
        async with other:
            assert await seen.count(2) == [("a", 1), ("b", 1)]

    async def test_a_member_that_joins_does_not_get_what_another_is_handling(
        self, town: Town
    ) -> None:
        seen, gate, inside = town.seen(), anyio.Event(), town.seen()

        async def handle(data: Any) -> None:
            inside.add(data)
            await gate.wait()
            seen.add(data)

        one, two = town.bus(), town.bus()
        for bus in (one, two):
            bus.add(handle, town.topic, group=town.group("billing"), concurrency=4)
        async with one:
            await town.publish(one, range(16))
            await inside.count(4)
            async with two:
                await anyio.wait_all_tasks_blocked()
                gate.set()
                await seen.count(16)
                await one.drain(timeout=town.patience)
                await two.drain(timeout=town.patience)
        assert sorted(seen.items) == list(range(16))

    async def test_a_subscription_can_be_added_and_stopped_while_others_run(
        self, town: Town
    ) -> None:
        first, second = town.seen(), town.seen()
        bus = town.bus()
        bus.add(town.noting(first), town.topic, group=town.group("a"))
        async with bus:
            await town.publish(bus, [1])
            await first.count(1)
            added = bus.add(town.noting(second), f"{town.channel}.paid", group=town.group("b"))
            await bus.publish(f"{town.channel}.paid", 2)
            if not second.items:
                await bus.drain(timeout=town.patience)
            await added.stop()
            await bus.publish(f"{town.channel}.paid", 3)
            await town.publish(bus, [4])
            await first.count(2)
        assert (3, 1) not in second.items

    async def test_fifty_publishers_and_processes_that_come_and_go_lose_nothing(
        self, town: Town
    ) -> None:
        expected = {f"{publisher}/{n}" for publisher in range(50) for n in range(4)}
        done = town.seen()

        async def handle(data: Any) -> None:
            await anyio.lowlevel.checkpoint()
            done.add(data)

        async def process() -> None:
            """Stopped without grace, again and again, until nothing is missing."""
            while not set(done.items) >= expected:
                bus = town.bus()
                bus.add(handle, town.topic, group=town.group("billing"), concurrency=3)
                await bus.start()
                with anyio.move_on_after(town.silence):
                    await done.until(lambda items: set(items) >= expected)
                await bus.stop(grace=0)

        async def publish(bus: Bus, number: int) -> None:
            for n in range(4):
                key = None if n % 2 else f"k{number % 7}"
                await bus.publish(town.topic, f"{number}/{n}", key=key)

        first = town.bus()
        first.add(handle, town.topic, group=town.group("billing"))
        async with first:
            pass  # the group exists before the first event
        with anyio.move_on_after(4 * town.patience):
            async with town.bus(publish_only=True) as publisher, anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(process)
                for number in range(50):
                    tasks.start_soon(publish, publisher, number)
        missed = expected - set(done.items)
        assert not missed, f"{len(missed)} lost: {sorted(missed)[:5]}"
