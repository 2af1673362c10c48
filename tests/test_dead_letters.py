"""The desk of dead letters: read, replay, edit, discard; one group's, and no other's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import anyio
import msgspec
import pytest

from busway import Bus, Message
from busway.errors import MissingPower, OptionError, PublishError, PublishUnknown
from busway.memory import MemoryTransport
from busway.message import Envelope
from busway.testing import Flaky
from busway.transport import Address, Outgoing, Purpose, Raw
from tests.facts import PATIENCE, Seen, letters, noting, quick, until, up

pytestmark = pytest.mark.anyio


class Shop:
    """A group that fails until it is repaired, beside one that does not."""

    def __init__(self, transport: Any = None, **options: Any) -> None:
        self.bus = Bus(transport or MemoryTransport(), retry=quick(2), **options)
        self.handled, self.others, self.broken = Seen(), Seen(), True
        self.bus.add(self.handle, "order.*", group="billing")
        self.bus.add(noting(self.others), "order.*", group="mail")
        self.desk = self.bus.dead_letters("billing")

    async def handle(self, data: Any, message: Message[Any]) -> None:
        if self.broken:
            raise LookupError(f"no {data}") if data == 2 else ValueError(f"no {data}")
        self.handled.add((data, message.attempt))

    async def fail(self, count: int = 3) -> list[Any]:
        for n in range(count):
            await self.bus.publish("order.placed" if n else "order.paid", n, key=f"o-{n}")
        return await letters(self.bus, "billing", count)


async def test_a_letter_has_the_whole_story_and_the_envelope_as_it_was() -> None:
    shop = Shop()
    with anyio.fail_after(PATIENCE):
        async with shop.bus as bus:
            before = datetime.now(UTC).timestamp()
            sent = await bus.publish("order.placed", 7, key="o-7", headers={"x": "y"})
            (letter,) = await letters(bus, "billing", 1)
    assert letter.envelope == sent
    assert (letter.group, letter.channel, letter.attempts) == ("billing", "order", 2)
    assert "handle" in letter.handler
    assert (letter.kind, letter.reason) == ("ValueError", "no 7")
    assert before - 1 <= letter.first_failed <= letter.last_failed
    assert 'raise LookupError(f"no {data}")' in letter.traceback
    assert len(letter.traceback) <= 8192
    assert letter.replays == 0


async def test_a_traceback_is_bounded() -> None:
    bus = Bus(retry=quick(1))

    @bus.subscribe("a.b", group="g")
    async def handle(data: Any) -> None:
        raise ValueError("x" * 100_000)

    async with up(bus):
        await bus.publish("a.b", 1)
        (letter,) = await letters(bus, "g", 1)
    assert len(letter.traceback) <= 8192
    assert len(letter.reason) < 8192


async def test_letters_are_listed_oldest_first_and_filtered() -> None:
    shop = Shop()
    with anyio.fail_after(PATIENCE):
        async with shop.bus:
            await shop.fail()
            desk = shop.desk
            assert [each.envelope.data async for each in desk] == [0, 1, 2]
            assert [each.envelope.data for each in await desk.list(topic="order.paid")] == [0]
            assert [each.envelope.data for each in await desk.list(kind="LookupError")] == [2]
            assert [each.envelope.data for each in await desk.list(key="o-1")] == [1]
            assert len(await desk.list(limit=2)) == 2
            assert await desk.list(limit=0) == []
            assert await desk.list(since=datetime(2999, 1, 1, tzinfo=UTC)) == []
            assert len(await desk.list(since=datetime(1999, 1, 1, tzinfo=UTC))) == 3
            found = await desk.list(where=lambda letter: letter.envelope.data > 0)
            assert [each.envelope.data for each in found] == [1, 2]
            with pytest.raises(OptionError, match="no time zone"):
                await desk.list(since=datetime(1999, 1, 1))


async def test_one_letter_is_had_by_its_id() -> None:
    shop = Shop()
    with anyio.fail_after(PATIENCE):
        async with shop.bus:
            kept = (await shop.fail())[1]
            found = await shop.desk.get(kept.id)
            assert found == kept
            assert await shop.desk.get("order/nowhere") is None


async def test_a_replay_reaches_the_group_that_failed_only_and_attempts_begin_again() -> None:
    shop = Shop()
    with anyio.fail_after(PATIENCE):
        async with shop.bus:
            await shop.fail()
            shop.broken = False
            done = await shop.desk.replay()
            await shop.handled.count(3)
            await shop.bus.drain()
            assert await shop.desk.list() == []
    assert len(done.replayed) == 3
    assert sorted(shop.handled.items) == [(0, 1), (1, 1), (2, 1)]
    assert shop.others.items == [0, 1, 2]


async def test_a_replay_by_id_or_filter_leaves_the_others() -> None:
    shop = Shop()
    with anyio.fail_after(PATIENCE):
        async with shop.bus:
            first, second, third = await shop.fail()
            shop.broken = False
            await shop.desk.replay(second.id)
            assert [each.id for each in await shop.desk.list()] == [first.id, third.id]
            await shop.desk.replay(kind="LookupError")
            assert [each.id for each in await shop.desk.list()] == [first.id]
            await shop.handled.count(2)


async def test_a_dry_run_says_what_it_would_do_and_does_nothing() -> None:
    shop = Shop()
    with anyio.fail_after(PATIENCE):
        async with shop.bus:
            found = await shop.fail()
            shop.broken = False
            would = await shop.desk.replay(dry_run=True)
            assert would.replayed == tuple(each.id for each in found)
            await shop.bus.drain()
            assert await shop.desk.list() == found
    assert shop.handled.items == []


async def test_an_edited_letter_is_replayed_as_edited() -> None:
    shop = Shop()
    with anyio.fail_after(PATIENCE):
        async with shop.bus:
            (letter,) = await shop.fail(1)
            shop.broken = False
            await shop.desk.replay(edit=lambda e: msgspec.structs.replace(e, data="mended"))
            await shop.handled.count(1)
            shop.broken = True
            await shop.fail(1)
            with pytest.raises(OptionError, match="no envelope"):
                await shop.desk.replay(edit=lambda e: None)  # type: ignore[arg-type, return-value]
            assert len(await shop.desk.list()) == 1
    assert shop.handled.items == [("mended", 1)]
    assert letter.envelope.data == 0


async def test_a_letter_that_fails_again_after_three_replays_is_a_loop_and_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop = Shop()
    with anyio.fail_after(PATIENCE):
        async with shop.bus:
            await shop.fail(1)
            for count in (1, 2, 3):
                assert len((await shop.desk.replay()).replayed) == 1
                (letter,) = await letters(shop.bus, "billing", 1)
                assert (letter.replays, letter.attempts) == (count, 2)
            left = await shop.desk.replay()
            assert (left.replayed, left.skipped) == ((), (letter.id,))
            assert "replayed 3 times before" in caplog.text
            assert len((await shop.desk.replay(force=True)).replayed) == 1
            (letter,) = await letters(shop.bus, "billing", 1)
            assert len((await shop.desk.replay(letter.id)).replayed) == 1
            await letters(shop.bus, "billing", 1)


async def test_a_rate_spaces_replays_out() -> None:
    shop = Shop()
    with anyio.fail_after(PATIENCE):
        async with shop.bus:
            await shop.fail(3)
            shop.broken = False
            began = anyio.current_time()
            await shop.desk.replay(rate=50)
            assert anyio.current_time() - began >= 2 / 50
            with pytest.raises(OptionError, match="rate=0"):
                await shop.desk.replay(rate=0)
            await shop.handled.count(3)


async def test_discarded_letters_are_gone_and_a_bare_discard_is_refused() -> None:
    shop = Shop()
    with anyio.fail_after(PATIENCE):
        async with shop.bus:
            first, second, _ = await shop.fail()
            assert await shop.desk.discard(first.id) == 1
            assert await shop.desk.discard(first.id) == 0
            assert await shop.desk.discard(topic="order.placed") == 2
            assert await shop.desk.list() == []
            assert await shop.desk.get(second.id) is None
            with pytest.raises(OptionError, match="every letter"):
                await shop.desk.discard()


@pytest.mark.parametrize(("how", "error"), [("refused", PublishError), ("lost", PublishUnknown)])
async def test_a_letter_that_could_not_be_sent_stays(how: Any, error: type[Exception]) -> None:
    transport = Flaky(MemoryTransport())
    shop = Shop(transport)
    with anyio.fail_after(PATIENCE):
        async with shop.bus:
            (letter,) = await shop.fail(1)
            transport.fail("send", how=how)
            with pytest.raises(error, match=letter.id):
                await shop.desk.replay()
            assert await shop.desk.list() == [letter]


async def test_a_letter_is_removed_only_after_it_was_sent() -> None:
    transport = Flaky(MemoryTransport())
    shop = Shop(transport)
    with anyio.fail_after(PATIENCE):
        async with shop.bus, anyio.create_task_group() as tasks:
            (letter,) = await shop.fail(1)
            shop.broken = False
            gate = transport.hold("send")
            tasks.start_soon(shop.desk.replay)
            await gate.reached()
            assert await shop.desk.list() == [letter]
            gate.open()
            await shop.handled.count(1)


async def test_a_letter_of_a_group_that_is_gone_cannot_be_replayed_and_stays() -> None:
    transport = MemoryTransport()
    async with Bus(transport) as bus:
        item = Outgoing(
            Envelope("order.placed", 1),
            Address("order", Purpose.DEAD, "gone"),
            bus._parts.runtime.encoder,
        )
        await transport.send([item], timeout=1.0)
        with pytest.raises(PublishError, match="no group 'gone'"):
            await bus.dead_letters("gone").replay()
        assert len(await bus.dead_letters("gone").list()) == 1


async def test_bytes_that_are_no_envelope_are_a_letter_and_are_never_replayed() -> None:
    transport = MemoryTransport()
    bus, seen = Bus(transport), Seen()
    bus.add(noting(seen), "a.*", group="g")
    async with up(bus):
        raw = Raw(b"\xff", "text/odd", {"h": "v"}, "no JSON")
        address = Address("a", Purpose.RETRY, "g")
        await transport.send([Outgoing(raw, address, bus._parts.runtime.encoder)], timeout=1.0)
        (letter,) = await letters(bus, "g", 1)
        await bus.publish("a.b", 1)
        await seen.count(1)
        done = await bus.dead_letters("g").replay()
        assert (done.replayed, done.skipped) == ((), (letter.id,))
    assert letter.content == raw
    assert letter.envelope is None
    assert (letter.kind, letter.reason) == ("Undecodable", "no JSON")


async def test_data_that_does_not_fit_the_handler_is_set_aside_at_once() -> None:
    bus, seen = Bus(retry=quick(5)), Seen()

    @bus.subscribe("a.b", group="g")
    async def handle(data: int) -> None:
        seen.add(data)

    async with up(bus):
        await bus.publish("a.b", "no number")
        await bus.publish("a.b", 2)
        (letter,) = await letters(bus, "g", 1)
        await bus.drain()
    assert seen.items == [2]
    assert (letter.kind, letter.attempts) == ("Undecodable", 1)


def test_a_transport_that_cannot_be_read_has_no_desk() -> None:
    with pytest.raises(MissingPower, match="Browses"):
        Bus("null://").dead_letters("g")


async def test_one_groups_letters_are_not_anothers() -> None:
    shop = Shop()
    with anyio.fail_after(PATIENCE):
        async with shop.bus:
            await shop.fail()
            await until(lambda: len(shop.others.items) == 3)
            assert await shop.bus.dead_letters("mail").list() == []
