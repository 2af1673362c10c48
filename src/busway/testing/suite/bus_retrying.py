"""What becomes of events whose handler fails, on any transport."""

from __future__ import annotations

from typing import Any

import anyio

from busway import Message, Reject
from busway.message import Envelope
from busway.transport import Discards, Raw

from ._base import missing
from ._bus_base import BusSuiteBase
from ._town import Town, quickly

__all__ = ["Retrying", "SettingAside"]


class Retrying(BusSuiteBase):
    async def test_a_failed_event_is_handled_again_with_the_next_attempt(self, town: Town) -> None:
        seen = town.seen()
        bus = town.bus(retry=quickly(attempts=3))
        bus.add(town.noting(seen, lambda m: m.attempt < 3), town.topic, group=town.group("billing"))
        async with bus:
            await town.publish(bus, ["a"])
            assert await seen.count(3) == [("a", 1), ("a", 2), ("a", 3)]

    async def test_attempts_are_counted_when_each_is_sent_again(self, town: Town) -> None:
        seen = town.seen()
        bus = town.bus(retry=quickly(attempts=4, in_place=0.0))
        bus.add(town.noting(seen, lambda m: m.attempt < 4), town.topic, group=town.group("billing"))
        async with bus:
            await town.publish(bus, ["a"], key="k")
            assert await seen.count(4) == [("a", 1), ("a", 2), ("a", 3), ("a", 4)]

    async def test_a_retry_in_place_keeps_the_order_of_its_key(self, town: Town) -> None:
        seen = town.seen()
        bus = town.bus(retry=quickly(attempts=3))
        bus.add(
            town.noting(seen, lambda m: m.data == 0 and m.attempt < 3),
            town.topic,
            group=town.group("billing"),
            concurrency=4,
        )
        async with bus:
            await town.publish(bus, range(4), key="k")
            came = await seen.count(6)
        assert came == [(0, 1), (0, 2), (0, 3), (1, 1), (2, 1), (3, 1)]

    async def test_order_by_key_keeps_a_long_retry_in_its_lane(self, town: Town) -> None:
        seen = town.seen()
        bus = town.bus(retry=quickly(attempts=3, in_place=0.0))
        bus.add(
            town.noting(seen, lambda m: m.data == 0 and m.attempt < 3),
            town.topic,
            group=town.group("billing"),
            order="key",
        )
        async with bus:
            await town.publish(bus, range(3), key="k")
            assert await seen.count(5) == [(0, 1), (0, 2), (0, 3), (1, 1), (2, 1)]

    async def test_a_retry_that_was_sent_again_leaves_the_lane_free(self, town: Town) -> None:
        seen = town.seen()
        bus = town.bus(retry=quickly(attempts=2, in_place=0.0))
        bus.add(
            town.noting(seen, lambda m: m.data == "a" and m.attempt == 1),
            town.topic,
            group=town.group("billing"),
        )
        async with bus:
            await town.publish(bus, ["a", "b"], key="k")
            came = await seen.count(3)
        assert sorted(came) == [("a", 1), ("a", 2), ("b", 1)]

    async def test_a_retry_is_seen_by_its_own_group_only(self, town: Town) -> None:
        failing, other = town.seen(), town.seen()
        bus = town.bus(retry=quickly(attempts=3, in_place=0.0))
        bus.add(town.noting(failing, lambda m: m.attempt < 3), town.topic, group=town.group("a"))
        bus.add(town.noting(other), town.topic, group=town.group("b"))
        async with bus:
            await town.publish(bus, ["x"])
            await failing.count(3)
            await town.publish(bus, ["end"])
            await other.until(lambda items: ("end", 1) in items)
        assert sorted(other.items) == [("end", 1), ("x", 1)]

    async def test_the_envelope_stays_the_same_through_all_attempts(self, town: Town) -> None:
        seen = town.seen()

        async def handle(data: Any, message: Message[Any]) -> None:
            seen.add((message.id, message.envelope.time, dict(message.headers), message.attempt))
            if message.attempt < 3:
                raise ValueError

        bus = town.bus(retry=quickly(attempts=3, in_place=0.0))
        bus.add(handle, town.topic, group=town.group("billing"))
        async with bus:
            sent: Envelope = await bus.publish(town.topic, 1, headers={"a": ""})
            came = await seen.count(3)
        assert came == [(sent.id, sent.time, {"a": ""}, n) for n in (1, 2, 3)]

    async def test_attempts_survive_a_hand_over(self, town: Town) -> None:
        """One process fails, sends it again and ends; the next goes on counting."""
        seen = town.seen()
        one, two = town.bus(), town.bus()
        failed = anyio.Event()

        async def fail(data: Any, message: Message[Any]) -> None:
            seen.add((data, message.attempt))
            failed.set()
            raise ValueError

        policy = quickly(attempts=5, in_place=0.0)
        later = policy.__class__(
            attempts=5, backoff=policy.backoff.__class__(first=0.3), in_place=0
        )
        one.add(fail, town.topic, group=town.group("billing"), retry=later)
        two.add(town.noting(seen), town.topic, group=town.group("billing"), retry=later)
        await one.start()
        await town.publish(one, ["a"])
        with anyio.fail_after(town.patience):
            await failed.wait()
        # Sending it again may take a while: who is cut off gives it back, and nothing is counted.
        await one.stop(grace=town.patience)
        async with two:
            await seen.until(lambda items: len({attempt for _, attempt in items}) >= 2)
        assert [attempt for _, attempt in seen.items][:2] == [1, 2]


class SettingAside(BusSuiteBase):
    async def test_a_dead_letter_has_the_envelope_and_the_whole_story(self, town: Town) -> None:
        seen = town.seen()
        bus = town.bus(retry=quickly(attempts=3, in_place=0.0))
        bus.add(town.noting(seen, lambda m: True), town.topic, group=town.group("billing"))
        async with bus:
            sent = await bus.publish(town.topic, {"n": 1}, key="k", headers={"h": ""})
            (letter,) = await town.letters(bus, "billing", 1)
        assert [attempt for _, attempt in seen.items] == [1, 2, 3]
        assert letter.envelope is not None
        assert (letter.envelope.id, letter.envelope.key) == (sent.id, "k")
        assert dict(letter.envelope.headers) == {"h": ""}
        assert (letter.attempts, letter.kind, letter.replays) == (3, "ValueError", 0)
        assert letter.group == town.group("billing")
        assert "no {'n': 1}" in letter.reason
        assert "ValueError" in letter.traceback
        assert letter.first_failed is not None
        assert letter.last_failed is not None
        assert letter.first_failed <= letter.last_failed

    async def test_a_dead_letter_lets_its_neighbours_pass(self, town: Town) -> None:
        seen = town.seen()
        bus = town.bus(retry=quickly(attempts=2))
        bus.add(town.noting(seen, lambda m: m.data == 0), town.topic, group=town.group("billing"))
        async with bus:
            await town.publish(bus, range(3), key="k")
            await seen.count(4)
            await town.letters(bus, "billing", 1)
        assert seen.items == [(0, 1), (0, 2), (1, 1), (2, 1)]

    async def test_what_is_rejected_is_set_aside_at_once(self, town: Town) -> None:
        seen = town.seen()

        async def reject(data: Any, message: Message[Any]) -> None:
            seen.add(message.attempt)
            raise Reject("never")

        bus = town.bus(retry=quickly(attempts=5))
        bus.add(reject, town.topic, group=town.group("billing"))
        async with bus:
            await town.publish(bus, ["a"])
            (letter,) = await town.letters(bus, "billing", 1)
        assert seen.items == [1]
        assert "never" in letter.reason

    async def test_a_replayed_letter_goes_to_the_group_that_failed_and_starts_anew(
        self, town: Town
    ) -> None:
        if not isinstance(town.transport, Discards):
            missing("Discards")
        seen, other = town.seen(), town.seen()
        healed = False
        bus = town.bus(retry=quickly(attempts=2, in_place=0.0))
        failing = town.noting(seen, lambda m: not healed)
        bus.add(failing, town.topic, group=town.group("billing"))
        bus.add(town.noting(other), town.topic, group=town.group("audit"))
        async with bus:
            await town.publish(bus, ["a"])
            await town.letters(bus, "billing", 1)
            healed = True
            await bus.dead_letters(town.group("billing")).replay()
            await seen.count(3)
            await town.letters(bus, "billing", 0)
        assert seen.items == [("a", 1), ("a", 2), ("a", 1)]
        assert other.items == [("a", 1)]

    async def test_undecodable_bytes_are_set_aside_raw_and_the_subscription_goes_on(
        self, town: Town
    ) -> None:
        seen = town.seen()
        bus = town.bus()
        bus.add(town.noting(seen), f"{town.channel}.*", group=town.group("billing"))
        async with bus:
            await town.publish(bus, ["before"])
            await self.corrupt(town.transport, town.channel, b"\xff{ nothing")
            await town.publish(bus, ["after"])
            await seen.count(2)
            (letter,) = await town.letters(bus, "billing", 1)
        assert sorted(data for data, _ in seen.items) == ["after", "before"]
        assert isinstance(letter.content, Raw)
        assert letter.content.data == b"\xff{ nothing"
