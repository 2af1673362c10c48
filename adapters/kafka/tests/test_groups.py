"""Which groups there are, how far they are, their end, and their place moved."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import anyio
import pytest

from busway import TransportError
from busway.transport import Address, ChannelState, Group, GroupState, Purpose
from busway_kafka._groups import Groups
from busway_kafka._measuring import Here
from busway_kafka._notes import Note
from busway_kafka._offsets import committed
from busway_kafka._transport import KafkaTransport
from busway_kafka._url import parse

from .kafka_world import STORY, World, world

pytestmark = pytest.mark.anyio

ORDER = Address("order")
RETRY = Address("order", Purpose.RETRY, "billing")


@pytest.fixture
async def here(kafka_url: str) -> AsyncIterator[World]:
    async with world(kafka_url, partitions=1) as made:
        yield made


def everything(topic: str) -> bool:
    return True


async def state(here: World, name: str = "billing") -> GroupState:
    (found,) = [each for each in await here.groups.states() if each.name == name]
    return found


async def test_no_groups_are_none(here: World) -> None:
    assert await here.groups.states() == []


async def test_a_group_that_has_read_nothing_is_there(here: World) -> None:
    await here.begin("billing")
    await here.begin("my group/1")
    assert await here.groups.states() == [
        GroupState("billing", 0, 0, 0, 0, dead=0),
        GroupState("my group/1", 0, 0, 0, 0, dead=0),
    ]


async def test_what_waits_is_counted_with_the_moment_of_the_first(here: World) -> None:
    began = time.time()
    await here.begin("billing")
    topic = await here.send(ORDER, *range(5))
    await here.commit("billing", {(topic, 0): (2, "")})
    found = await state(here)
    assert (found.lag, found.pending, found.members) == (3, 0, 0)
    assert found.oldest is not None
    assert began - 1 <= found.oldest <= time.time()
    assert found.channels == (ChannelState("order", 3, 0, found.oldest),)


async def test_what_is_done_above_the_offset_does_not_wait(here: World) -> None:
    await here.begin("billing")
    topic = await here.send(ORDER, *range(10))
    note = Note(1, 8, ((1, 2), (5, 6)), {}).text()
    await here.commit("billing", {(topic, 0): (1, note)})
    assert (await state(here)).lag == 5
    await here.commit("billing", {(topic, 0): (0, Note(1, 9, ((0, 9),)).text())})
    found = await state(here)
    assert (found.lag, found.oldest) == (0, None)


async def test_what_is_lent_in_this_process_does_not_wait(here: World) -> None:
    await here.begin("billing")
    topic = await here.send(ORDER, *range(5))
    await here.commit("billing", {(topic, 0): (0, "")})
    here.here = Here(1, {(topic, 0): 2})
    found = await state(here)
    assert (found.lag, found.pending) == (3, 2)
    assert found.channels[0].pending == 2


async def test_a_group_is_measured_in_what_it_has_begun_and_in_no_other_channel(
    here: World,
) -> None:
    await here.begin("billing")
    topic = await here.send(ORDER, 1)
    await here.send(Address("user"), 1)
    await here.commit("billing", {(topic, 0): (0, "")})
    assert [each.name for each in (await state(here)).channels] == ["order"]


async def test_a_channel_that_a_member_here_is_about_to_find_is_counted(here: World) -> None:
    await here.begin("billing")
    await here.send(ORDER, 1)
    await here.send(Address("user"), 1, 2)
    here.here = Here(channels={"order"})
    assert [each.name for each in (await state(here)).channels] == ["order"]
    here.here = Here(everywhere=True)
    assert [(each.name, each.lag) for each in (await state(here)).channels] == [
        ("order", 1),
        ("user", 2),
    ]


async def test_retries_replies_and_dead_letters_are_counted(here: World) -> None:
    await here.begin("billing")
    due = time.time() + 3_000
    await here.send(RETRY, 1, 2, attempt=2)
    await here.send(RETRY, 3, tier="1h", due=due + 5, attempt=2)
    await here.send(RETRY, 4, tier="1h", due=due, attempt=2)
    await here.send(RETRY, 5, tier="1d", due=due + 9_000, attempt=2)
    await here.send(Address("reply", Purpose.REPLY, "billing"), 1)
    dead = Address("order", Purpose.DEAD, "billing")
    await here.send(dead, 1, 2, 3, story=STORY)
    await here.browsing.discard(dead, (await here.browse(dead))[0].position)
    await here.send(Address("order", Purpose.DEAD, "audit"), 1)
    found = await state(here)
    assert (found.lag, found.delayed, found.dead) == (3, 3, 2)
    assert (found.next_due, found.channels) == (due, ())


async def test_groups_of_another_prefix_and_of_another_program_are_not_ours(
    here: World, kafka_url: str
) -> None:
    await here.begin("billing")
    async with world(kafka_url) as other:
        await other.begin("audit")
        await other.send(ORDER, 1)
        await other.commit(f"x{here.options.prefix}", {(other.names.meta, 0): (0, "")})
    topic = await here.send(ORDER, 1)
    await here.commit("theirs", {(topic, 0): (0, "")})
    assert [each.name for each in await here.groups.states()] == ["billing"]


async def test_a_group_that_was_removed_is_gone_with_all_that_was_its_own(here: World) -> None:
    await here.begin("billing")
    topic = await here.send(ORDER, 1)
    await here.send(RETRY, 1, tier="1h")
    await here.send(Address("order", Purpose.DEAD, "billing"), 1)
    await here.send(Address("order", Purpose.DEAD, "audit"), 1)
    await here.commit("billing", {(topic, 0): (1, "")})
    assert await here.moving.remove("billing")
    assert not await here.moving.remove("billing")
    assert await here.groups.states() == []
    assert await committed(here.client, here.names.group("billing")) == {}
    left = {topic, here.names.meta, here.names.topic(Address("order", Purpose.DEAD, "audit"))}
    assert {t for t in here.client.leaders if t.startswith(here.options.prefix)} == left


async def test_a_group_is_moved_to_the_beginning_the_end_and_a_moment(here: World) -> None:
    await here.begin("billing")
    topic = await here.send(ORDER, 1, 2)
    await anyio.sleep(0.02)
    moment = datetime.now(UTC)
    await here.send(ORDER, 3)
    await here.commit("billing", {(topic, 0): (3, Note(1, 5, (), {1: 2}).text())})
    for to, place in (("earliest", 0), ("latest", 3), (moment, 2)):
        await here.moving.rewind("billing", to)  # type: ignore[arg-type]
        far = await committed(here.client, here.names.group("billing"))
        assert far == {(topic, 0): (place, ""), (here.names.meta, 0): (0, "")}
        assert (await state(here)).lag == 3 - place


async def test_a_channel_that_a_group_has_not_found_yet_is_moved_and_not_counted(
    here: World,
) -> None:
    await here.begin("billing")
    topic = await here.send(Address("user"), 1, 2)
    await here.moving.rewind("billing", "latest")
    far = await committed(here.client, here.names.group("billing"), {topic: [0]})
    assert far[topic, 0][0] == 2
    await here.send(Address("user"), 3)
    assert (await state(here)).channels == ()


async def test_a_group_that_is_not_there_cannot_be_moved(here: World) -> None:
    with pytest.raises(TransportError, match="there is no group 'billing'") as refusal:
        await here.moving.rewind("billing", "earliest")
    assert not refusal.value.retryable


async def test_a_group_is_neither_moved_nor_removed_while_somebody_listens(
    here: World, kafka_url: str
) -> None:
    options = parse(kafka_url, prefix=here.options.prefix)
    group = Group("billing", ("order.*",), everything, frozenset({"order"}))
    topic = await here.send(ORDER, *range(3))
    async with KafkaTransport(options) as transport, transport.listen(group) as feed:
        await feed.receive(1)
        found = await state(here)
        assert (found.members, found.pending) == (1, None)
        assert found.lag == 3
        here.here = Here(1, {(topic, 0): 1})
        found = await state(here)
        assert (found.lag, found.pending) == (2, 1)
        for call in (here.moving.remove("billing"), here.moving.rewind("billing", "earliest")):
            with pytest.raises(TransportError, match="has a member that listens") as refusal:
                await call
            assert not refusal.value.retryable
    assert await here.moving.remove("billing")


async def test_a_topic_that_is_being_made_when_its_group_is_removed_goes_with_it(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever had it made has gone meanwhile."""
    prefix = f"t{uuid.uuid4().hex[:10]}."
    transport = KafkaTransport(parse(kafka_url, prefix=prefix, partitions=1))
    begun, going_on = anyio.Event(), anyio.Event()
    create = transport.topics._create

    async def slowly(topic: str, width: int, settings: dict[str, str]) -> tuple[int, str]:
        begun.set()
        await going_on.wait()
        return await create(topic, width, settings)

    with anyio.fail_after(20):
        async with transport:
            monkeypatch.setattr(transport.topics, "_create", slowly)
            maker = asyncio.create_task(transport.topics.ensure(RETRY))
            await begun.wait()
            maker.cancel()
            remover = asyncio.create_task(transport.remove_group("billing"))
            await asyncio.wait([maker])
            going_on.set()
            assert await remover
            assert not await transport.remove_group("billing")


async def test_a_group_whose_member_was_not_let_in_yet_is_there(here: World) -> None:
    """Kafka knows nothing of it; the process whose member it is does."""
    mine = Here(1, {}, frozenset({"order"}))
    groups = Groups(here.client, here.names, here.shelf, lambda _: mine, lambda: {"billing"})
    (found,) = await groups.states()
    assert found.name == "billing"
