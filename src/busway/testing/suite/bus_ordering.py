"""Order, concurrency and room, on any transport."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import anyio
import anyio.lowlevel

from busway import Message

from ._bus_base import BusSuiteBase
from ._town import Town, quickly

__all__ = ["Ordering", "Room"]

_MANY = 100
_FAILING = 41


class Ordering(BusSuiteBase):
    async def test_events_of_a_key_are_handled_in_order_whatever_each_takes(
        self, town: Town
    ) -> None:
        """Random delays and random failures, eight at a time."""
        seen, chance = town.seen(), random.Random(3)
        failed: set[object] = set()

        async def handle(data: Any, message: Message[Any]) -> None:
            for _ in range(chance.randint(0, 5)):
                await anyio.lowlevel.checkpoint()
            if chance.random() < 0.2 and message.id not in failed:
                failed.add(message.id)
                raise ValueError
            seen.add((message.key, data))

        bus = town.bus(retry=quickly(attempts=4))
        bus.add(handle, town.topic, group=town.group("billing"), concurrency=8)
        async with bus:
            for n in range(120):
                await bus.publish(town.topic, n, key=f"k{n % 5}")
            await seen.count(120)
        for key in range(5):
            order = [n for k, n in seen.items if k == f"k{key}"]
            assert order == sorted(order), f"k{key}: {order}"

    async def test_one_that_fails_amid_many_does_not_mix_up_its_key(self, town: Town) -> None:
        """They wait together when the handler begins, so that a transport may lend them as one."""
        seen, gate, failed = town.seen(), anyio.Event(), False

        async def handle(data: Any) -> None:
            nonlocal failed
            await gate.wait()
            seen.add(data)
            if data == _FAILING and not failed:
                failed = True
                raise ValueError("once")

        bus = town.bus(retry=quickly())
        bus.add(handle, town.topic, group=town.group("billing"))
        async with bus:
            await bus.publish_many(
                bus.envelope(town.topic, n, key=f"k{n % 2}") for n in range(_MANY)
            )
            gate.set()
            await seen.count(_MANY + 1)
            await bus.drain()
        for key in (0, 1):
            came = [n for n in seen.items if n % 2 == key]
            repeated = [_FAILING] if key == _FAILING % 2 else []
            assert came == sorted([*range(key, _MANY, 2), *repeated]), f"k{key}: {came}"

    async def test_two_events_of_one_key_never_run_side_by_side(self, town: Town) -> None:
        seen = town.seen()
        running: Counter[str | None] = Counter()

        async def handle(data: Any, message: Message[Any]) -> None:
            running[message.key] += 1
            most = running[message.key]
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            running[message.key] -= 1
            seen.add(most)

        bus = town.bus()
        bus.add(handle, town.topic, group=town.group("billing"), concurrency=8)
        async with bus:
            for n in range(60):
                await bus.publish(town.topic, n, key=f"k{n % 3}")
            assert set(await seen.count(60)) == {1}

    async def test_different_keys_run_side_by_side(self, town: Town) -> None:
        """Each handler waits for the other: one after another they would wait for ever."""
        inside: dict[str | None, anyio.Event] = {"a": anyio.Event(), "b": anyio.Event()}
        seen = town.seen()

        async def handle(data: Any, message: Message[Any]) -> None:
            inside[message.key].set()
            for event in inside.values():
                await event.wait()
            seen.add(message.key)

        bus = town.bus()
        bus.add(handle, town.topic, group=town.group("billing"), concurrency=2)
        async with bus:
            await bus.publish(town.topic, 1, key="a")
            await bus.publish(town.topic, 1, key="b")
            assert sorted(await seen.count(2)) == ["a", "b"]

    async def test_no_more_run_at_once_than_concurrency_allows(self, town: Town) -> None:
        seen = town.seen()
        running = 0

        async def handle(data: Any) -> None:
            nonlocal running
            running += 1
            most = running
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            running -= 1
            seen.add(most)

        bus = town.bus()
        bus.add(handle, town.topic, group=town.group("billing"), concurrency=3)
        async with bus:
            await town.publish(bus, range(40))
            assert max(await seen.count(40)) <= 3


class Room(BusSuiteBase):
    async def test_a_slow_group_does_not_hold_up_a_fast_one(self, town: Town) -> None:
        fast, slow, gate = town.seen(), town.seen(), anyio.Event()

        async def stall(data: Any) -> None:
            await gate.wait()
            slow.add(data)

        bus = town.bus()
        bus.add(stall, town.topic, group=town.group("slow"))
        bus.add(town.noting(fast), town.topic, group=town.group("fast"))
        async with bus:
            await town.publish(bus, range(50))
            await fast.count(50)
            assert slow.items == []
            gate.set()
            assert sorted(await slow.count(50)) == list(range(50))

    async def test_a_handler_can_publish_into_its_own_full_group(self, town: Town) -> None:
        seen = town.seen()

        async def handle(data: Any, message: Message[Any]) -> None:
            seen.add(data)
            if data < 5:
                for _ in range(2):
                    await message.publish(town.topic, data + 1)

        bus = town.bus(max_in_flight=1)
        bus.add(handle, town.topic, group=town.group("billing"))
        async with bus:
            await town.publish(bus, [0])
            await seen.count(2**6 - 1)
        assert Counter(seen.items) == {n: 2**n for n in range(6)}

    async def test_a_group_never_holds_more_than_it_has_room_for(self, town: Town) -> None:
        seen, gate, inside = town.seen(), anyio.Event(), town.seen()

        async def stall(data: Any) -> None:
            inside.add(data)
            await gate.wait()
            seen.add(data)

        bus = town.bus(max_in_flight=4)
        bus.add(stall, town.topic, group=town.group("billing"), concurrency=2)
        async with bus:
            await town.publish(bus, range(20))
            await inside.count(2)
            await anyio.wait_all_tasks_blocked()
            (group,) = bus.stats().groups
            gate.set()
            assert sorted(await seen.count(20)) == list(range(20))
        assert group.in_flight <= 4
